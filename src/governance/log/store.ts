/**
 * The two places where the log's sequencer keeps things: a small transactional state that fixes the order, and the
 * object store with the files that everybody reads. Drivers: memory, and a Durable Object's SQLite with R2.
 */
import type { Bytes } from '../../bytes.ts';
import type { LogRecord } from './types.ts';

/** The tree that the state has committed to. */
export interface LogHead {
  readonly size: number;
  readonly root: Bytes;
  /** The signed checkpoint, with the cosignatures that it has. */
  readonly note: string;
}

/** An entry that waits, or whose bundle is not full yet. */
export interface LogRow {
  readonly entry: Bytes;
  readonly sealed: Bytes | undefined;
}

export interface KeptNote {
  readonly note: string;
  readonly cosigners: number;
}

/** Each method is one transaction: after a crash it has happened, or not. */
export interface LogState {
  /**
   * Gives each record the next index, in order and for good; a record whose receipt hash has one keeps that.
   *
   * @returns how many are new.
   */
  append(records: readonly LogRecord[]): number;
  /** One past the highest index given. */
  end(): number;
  /** Rows from `from` up to and without `to`, at most as far as there are any; kept from the first bundle on that is not full. */
  rows(from: number, to: number): readonly LogRow[];
  head(): LogHead | undefined;
  /** Moves the head on, keeps its note, and lets go of the rows before `keepFrom`. */
  commit(head: LogHead, keepFrom: number): void;
  /** A checkpoint that was committed lately. */
  noteOf(size: number): KeptNote | undefined;
  /** Puts another note for the same tree in its place. */
  renote(size: number, kept: KeptNote): void;
  /** Of the checkpoints kept for sizes above `index`, up to `size`: one with the most cosigners, the newest of these. */
  bestNote(index: number, size: number): string | undefined;
  indexOf(receiptHash: Bytes): number | undefined;
  /** Where the record with this id is, and its sealed receipt where the row is still there. */
  find(id: string): { readonly index: number; readonly sealed: Bytes | undefined } | undefined;
}

/** So many of the latest checkpoints are kept for their witnesses. */
export const keptNotes = 1000;

export interface StoredObject {
  readonly bytes: Bytes;
  /** Changes with the content. */
  readonly etag: string;
}

/** Strongly consistent, and durable once a promise resolves. Paths as in `tiles.ts`. */
export interface LogObjects {
  get(path: string): Promise<StoredObject | undefined>;
  /** Stores where nothing stands; false, and nothing stored, where something does. */
  create(path: string, bytes: Bytes): Promise<boolean>;
  /** Stores over what has this etag (undefined: over nothing). The new etag, or undefined where something else stood there. */
  replace(path: string, bytes: Bytes, etag: string | undefined): Promise<string | undefined>;
  list(prefix: string): Promise<readonly string[]>;
  delete(paths: readonly string[]): Promise<void>;
}
