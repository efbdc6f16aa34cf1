/**
 * The sequencer makes waiting entries part of the tree, one round after another.
 *
 * The position of an entry is fixed when it is appended, so the state alone determines what a round writes, and a round
 * that was interrupted anywhere is repaired by running it again:
 *
 * 1. Write the files. Each is created once; a file that exists already must hold the same bytes.
 * 2. Commit size, root and signed checkpoint to the state, in one transaction.
 * 3. Publish the checkpoint, replacing only the one that was published before.
 *
 * The published checkpoint is compared with the state before anything is written: a state that was rolled back (a
 * restored backup) must not give published positions to new entries, nor sign a second root for a size.
 */
import { equalBytes, utf8 } from '../../bytes.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import { formatCheckpoint, openCheckpoint } from './checkpoint.ts';
import { mergeCosignatures } from './cosignatures.ts';
import {
  type Advance,
  advance,
  emptyFrontier,
  type Frontier,
  firstLoose,
  type LogFile,
  loadFrontier,
} from './frontier.ts';
import { emptyTree, rangeRoot, rootOf } from './merkle.ts';
import { formatNote, type NoteSigner, type NoteVerifier } from './note.ts';
import { parseVerifierKey } from './note-keys.ts';
import type { LogHead, LogObjects, LogRow, LogState } from './store.ts';
import { checkpointPath, type ReadFile, type TileRef, tileNodes, tilePath, tileWidth } from './tiles.ts';

export interface SequencerOptions {
  readonly state: LogState;
  readonly objects: LogObjects;
  /** Its name is the log's origin. */
  readonly signer: NoteSigner;
  readonly witnesses: readonly NoteVerifier[];
  /** Limits the memory and the time of a round; further entries wait for the next one. */
  readonly maxRoundEntries?: number | undefined;
  /**
   * Limits the sealed receipts of a round, which may exceed it by one bundle. A Durable Object has 128 MB and holds them
   * twice during a round.
   */
  readonly maxRoundBytes?: number | undefined;
}

/** What is known between rounds; read again after any failure. */
interface Loaded {
  readonly frontier: Frontier;
  /** Undefined until the log has committed to a tree. */
  readonly head: LogHead | undefined;
  /** Etag of the published checkpoint; undefined if none is published. */
  readonly etag: string | undefined;
}

const defaultMaxRoundEntries = 4096;
const defaultMaxRoundBytes = 8 * 1024 * 1024;
/** Files written at a time: as many connections as a Worker may have open. */
const concurrentWrites = 6;

export class Sequencer {
  readonly #options: SequencerOptions;
  readonly #verifier: Promise<NoteVerifier>;
  readonly #read: ReadFile;
  #loaded: Loaded | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: SequencerOptions) {
    this.#options = options;
    this.#verifier = parseVerifierKey(options.signer.verifierKey);
    this.#read = async (path) => (await options.objects.get(path))?.bytes;
  }

  /** Makes waiting entries part of the tree. @returns whether more of them wait. */
  round(): Promise<boolean> {
    return this.#exclusive((known) => this.#runRound(known));
  }

  /** Repairs what a crash left undone. @returns the size of the published tree. */
  ready(): Promise<number> {
    return this.#exclusive(async ({ head }) => head?.size ?? 0);
  }

  /** See `ReceiptLog.cosign`. */
  cosign(note: string): Promise<void> {
    return this.#exclusive((known) => this.#addCosignatures(note, known));
  }

  /** Runs one task at a time. After a failure it is unknown what was done, so the next task reads everything again. */
  #exclusive<T>(task: (known: Loaded) => Promise<T>): Promise<T> {
    const result = this.#last.then(async () => {
      try {
        this.#loaded ??= await this.#load();
        return await task(this.#loaded);
      } catch (error) {
        if (!isRejectedInput(error)) this.#loaded = undefined;
        throw error;
      }
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #load(): Promise<Loaded> {
    const { state, objects } = this.#options;
    const head = state.head();
    const stored = await objects.get(checkpointPath);
    const published =
      stored && (await openCheckpoint(new TextDecoder().decode(stored.bytes), await this.#verifier));
    const size = head?.size ?? 0;
    const frontier =
      head === undefined
        ? emptyFrontier
        : await loadFrontier(head, state.rows(firstLoose(size), size), this.#read);
    const loaded = { frontier, head, etag: stored?.etag };
    if (published === undefined || published.size < size) {
      // Committed, but not published yet.
      if (published !== undefined) await this.#requirePrefix(published, size);
      return this.#publish(loaded);
    }
    if (published.size > size || !equalBytes(published.root, head?.root ?? rootOf(emptyTree))) {
      throw new EdgewiseError(
        'internal',
        `the log's state was rolled back: it is at size ${size}, and the published checkpoint of size ${published.size} does not match it; the log is stopped`,
      );
    }
    return loaded;
  }

  async #requirePrefix(published: { readonly size: number; readonly root: Uint8Array }, size: number) {
    if (published.size === 0) return;
    const root = await rangeRoot({ start: 0, end: published.size }, tileNodes(size, this.#read));
    if (equalBytes(root, published.root)) return;
    throw new EdgewiseError(
      'internal',
      `the log's tree of size ${size} does not extend the published tree of size ${published.size}`,
    );
  }

  async #publish(known: Loaded): Promise<Loaded> {
    if (known.head === undefined) return known;
    const { note, size } = known.head;
    const etag = await this.#options.objects.replace(checkpointPath, utf8(note), known.etag);
    if (etag === undefined) {
      throw new EdgewiseError(
        'internal',
        `the checkpoint of size ${size} was not published: another one was published meanwhile`,
      );
    }
    return { ...known, etag };
  }

  async #runRound(known: Loaded): Promise<boolean> {
    const { state, maxRoundEntries = defaultMaxRoundEntries } = this.#options;
    const from = known.frontier.tree.size;
    const end = state.end();
    if (end === from) return false;
    const rows = this.#readRows(firstLoose(from), Math.min(end, from + maxRoundEntries));
    const next = advance(known.frontier, rows);
    await this.#writeFiles(next.files);
    const head = await this.#sign(next);
    if (state.head()?.size !== known.head?.size) {
      throw new EdgewiseError(
        'internal',
        `the round from size ${from} was not committed: another one was committed meanwhile`,
      );
    }
    state.commit(head, firstLoose(head.size));
    this.#loaded = await this.#publish({ frontier: next.frontier, head, etag: known.etag });
    await this.#deletePartial(next.filled);
    return state.end() > head.size;
  }

  /** Reads whole bundles. The first one has new entries, so each round makes progress. */
  #readRows(from: number, to: number): readonly LogRow[] {
    const { state, maxRoundBytes = defaultMaxRoundBytes } = this.#options;
    const rows: LogRow[] = [];
    let bytes = 0;
    for (let at = from; at < to && bytes < maxRoundBytes; at += tileWidth) {
      const bundle = state.rows(at, Math.min(to, at + tileWidth));
      for (const { sealed } of bundle) bytes += sealed?.length ?? 0;
      rows.push(...bundle);
    }
    return rows;
  }

  async #sign({ frontier, root }: Advance): Promise<LogHead> {
    const { signer } = this.#options;
    const { size } = frontier.tree;
    const text = formatCheckpoint({ origin: signer.name, size, root });
    return { size, root, note: formatNote({ text, signatures: [await signer.sign(text)] }) };
  }

  async #writeFiles(files: readonly LogFile[]): Promise<void> {
    for (let at = 0; at < files.length; at += concurrentWrites) {
      await Promise.all(files.slice(at, at + concurrentWrites).map((file) => this.#createFile(file)));
    }
  }

  async #createFile({ path, bytes }: LogFile): Promise<void> {
    const { objects } = this.#options;
    if (await objects.create(path, bytes)) return;
    const existing = await objects.get(path);
    if (existing === undefined || !equalBytes(existing.bytes, bytes)) {
      throw new EdgewiseError('internal', `the log file ${path} exists with other bytes; the log is stopped`);
    }
  }

  /** Deletes partial files that a full one has replaced. Left-over files are harmless, so a failure does not fail the round. */
  async #deletePartial(filled: readonly TileRef[]): Promise<void> {
    const { objects } = this.#options;
    try {
      const partial = await Promise.all(filled.map((ref) => objects.list(`${tilePath(ref)}.p/`)));
      if (partial.flat().length > 0) await objects.delete(partial.flat());
    } catch {
      // They stay.
    }
  }

  async #addCosignatures(note: string, known: Loaded): Promise<void> {
    const { state, witnesses } = this.#options;
    const { kept, size } = await mergeCosignatures(note, { state, head: known.head, witnesses });
    // Known signatures cost no write: any client can send them.
    if (state.noteOf(size)?.note === kept.note) return;
    state.replaceNote(size, kept);
    if (size !== known.head?.size) return;
    this.#loaded = await this.#publish({ ...known, head: { ...known.head, note: kept.note } });
  }
}

/** Reports whether the input was rejected before anything was done. */
function isRejectedInput(error: unknown): boolean {
  return isEdgewiseError(error) && (error.code === 'invalid_request' || error.code === 'conflict');
}
