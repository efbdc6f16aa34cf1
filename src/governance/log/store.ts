/**
 * The two stores of the log's sequencer: a small transactional state that fixes the order of entries, and the object store
 * with the public files. Driver: a Durable Object's SQLite with R2.
 */
import type { Bytes } from '../../bytes.ts';
import type { LogRecord } from './types.ts';

/** The tree that the state has committed. */
export interface LogHead {
  readonly size: number;
  readonly root: Bytes;
  /** The signed checkpoint with its cosignatures. */
  readonly note: string;
}

/** An entry that waits for its round, or whose bundle is not full yet. */
export interface LogRow {
  readonly entry: Bytes;
  readonly sealed: Bytes | undefined;
}

export interface KeptNote {
  readonly note: string;
  readonly cosigners: number;
}

/** Each method is one transaction: after a crash it is done completely, or not at all. */
export interface LogState {
  /**
   * Assigns the next indexes to the records, in order and permanently. A record whose receipt hash has an index keeps it.
   *
   * @returns the number of new records.
   */
  append(records: readonly LogRecord[]): number;
  /** Returns one past the highest assigned index. */
  end(): number;
  /** Returns the existing rows from `from` to `to`, exclusive. Rows are kept from the first bundle on that is not full. */
  rows(from: number, to: number): readonly LogRow[];
  head(): LogHead | undefined;
  /** Replaces the head, keeps its note, and deletes the rows before `keepFrom`. */
  commit(head: LogHead, keepFrom: number): void;
  /** Returns the note of one of the latest `keptNotes` checkpoints. */
  noteOf(size: number): KeptNote | undefined;
  /** Replaces the note of the checkpoint of this size. */
  replaceNote(size: number, kept: KeptNote): void;
  /** Returns the kept note with the most cosigners among sizes above `index`, up to `size`; the newest on a tie. */
  bestNote(index: number, size: number): string | undefined;
  indexOf(receiptHash: Bytes): number | undefined;
  /** Returns the index of the record with this id, and its sealed receipt while the row exists. */
  find(id: string): { readonly index: number; readonly sealed: Bytes | undefined } | undefined;
}

/** Number of the latest checkpoints that are kept, so that witnesses can cosign them. */
export const keptNotes = 1000;

export interface StoredObject {
  readonly bytes: Bytes;
  /** Changes with the content. */
  readonly etag: string;
}

/** An object store that is strongly consistent, and durable once a promise resolves. Paths as in `tiles.ts`. */
export interface LogObjects {
  get(path: string): Promise<StoredObject | undefined>;
  /** Creates the object. Returns false, and stores nothing, if it exists. */
  create(path: string, bytes: Bytes): Promise<boolean>;
  /** Replaces the object with this etag (undefined: creates it). Returns the new etag; undefined if the etag did not match. */
  replace(path: string, bytes: Bytes, etag: string | undefined): Promise<string | undefined>;
  list(prefix: string): Promise<readonly string[]>;
  delete(paths: readonly string[]): Promise<void>;
}
