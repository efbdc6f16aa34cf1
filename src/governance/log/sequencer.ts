/**
 * One round of sequencing after another: entries that wait become part of the tree.
 *
 * The order of an entry is fixed when it is appended, so what a round writes follows from the state alone, and a round
 * that broke off anywhere is repaired by running it again:
 *
 * 1. Files first. Each is created once; one that is there already must hold the same bytes.
 * 2. Then the state commits to size, root and signed checkpoint, in one transaction.
 * 3. Then the checkpoint is published, over the one that was published before and no other.
 *
 * What is published is compared with the state before anything is written: a state that was set back (a restored
 * backup) must not give new entries to places that have been shown, nor sign a second root for a size.
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
import { formatNote, type NoteSigner, type NoteVerifier, parseVerifierKey } from './note.ts';
import type { LogHead, LogObjects, LogRow, LogState } from './store.ts';
import { checkpointPath, type TileRef, tileNodes, tilePath, tileWidth } from './tiles.ts';

export interface SequencerOptions {
  readonly state: LogState;
  readonly objects: LogObjects;
  /** Its name is the log's origin. */
  readonly signer: NoteSigner;
  readonly witnesses: readonly NoteVerifier[];
  /** Bounds the memory and the time of a round; what is beyond waits for the next. */
  readonly maxRoundEntries?: number | undefined;
  /** Of sealed receipts; a bundle more at most. A Durable Object has 128 MB, and they stand in it twice. */
  readonly maxRoundBytes?: number | undefined;
}

export interface Sequencer {
  /** Makes entries that wait part of the tree. @returns whether more of them wait. */
  round(): Promise<boolean>;
  /** Repairs what a crash left undone, and says how large the published tree is. */
  ready(): Promise<number>;
  /** See `ReceiptLog.cosign`. */
  cosign(note: string): Promise<void>;
}

/** What holds between rounds; read anew after any failure. */
interface Loaded {
  readonly frontier: Frontier;
  /** Undefined for a log that has not committed to anything. */
  readonly head: LogHead | undefined;
  /** Of the published checkpoint; undefined where none is. */
  readonly etag: string | undefined;
}

const defaultMaxRoundEntries = 4096;
const defaultMaxRoundBytes = 8 * 1024 * 1024;
/** Files written at a time: as many connections as a Worker may have open. */
const writesAtOnce = 6;

export function createSequencer(options: SequencerOptions): Sequencer {
  const { state, objects, signer, maxRoundEntries = defaultMaxRoundEntries } = options;
  const { maxRoundBytes = defaultMaxRoundBytes } = options;
  const verifier = parseVerifierKey(signer.verifierKey);
  let loaded: Loaded | undefined;
  let last: Promise<unknown> = Promise.resolve();

  /** One at a time. A failure leaves it open what happened, so everything is read anew the next time. */
  function alone<T>(task: (known: Loaded) => Promise<T>): Promise<T> {
    const result = last.then(async () => {
      try {
        loaded ??= await load();
        return await task(loaded);
      } catch (error) {
        if (!isRefusal(error)) loaded = undefined;
        throw error;
      }
    });
    last = result.catch(() => undefined);
    return result;
  }

  const read = async (path: string) => (await objects.get(path))?.bytes;

  async function load(): Promise<Loaded> {
    const head = state.head();
    const stored = await objects.get(checkpointPath);
    const published =
      stored === undefined
        ? undefined
        : {
            etag: stored.etag,
            ...(await openCheckpoint(new TextDecoder().decode(stored.bytes), await verifier)),
          };
    const size = head?.size ?? 0;
    const root = head?.root ?? rootOf(emptyTree);
    const frontier =
      head === undefined ? emptyFrontier : await loadFrontier(head, state.rows(firstLoose(size), size), read);
    if (published !== undefined && published.size >= size) {
      if (published.size > size || !equalBytes(published.root, root)) {
        throw new EdgewiseError(
          'internal',
          `the log's state is at size ${size}, but a checkpoint of size ${published.size} is published that it does not lead to: it was set back, and goes no further`,
        );
      }
      return { frontier, head, etag: published.etag };
    }
    // Committed, not published.
    if (published !== undefined && published.size > 0) {
      const former = await rangeRoot({ start: 0, end: published.size }, tileNodes(size, read));
      if (!equalBytes(former, published.root)) {
        throw new EdgewiseError(
          'internal',
          `the log's tree of size ${size} does not go on from the published one of size ${published.size}`,
        );
      }
    }
    return publish({ frontier, head, etag: published?.etag });
  }

  async function publish(known: Loaded): Promise<Loaded> {
    if (known.head === undefined) return known;
    const etag = await objects.replace(checkpointPath, utf8(known.head.note), known.etag);
    if (etag === undefined) {
      throw new EdgewiseError(
        'internal',
        `checkpoint of size ${known.head.size} is not published: another one was, meanwhile`,
      );
    }
    return { ...known, etag };
  }

  async function round(known: Loaded): Promise<boolean> {
    const from = known.frontier.tree.size;
    const end = state.end();
    if (end === from) return false;
    const rows = roundRows(firstLoose(from), Math.min(end, from + maxRoundEntries));
    const to = firstLoose(from) + rows.length;
    const next = advance(known.frontier, rows);
    await writeFiles(next.files);
    const head = await sign(next);
    if (state.head()?.size !== known.head?.size) {
      throw new EdgewiseError(
        'internal',
        `round from size ${from} is not committed: another one was, meanwhile`,
      );
    }
    state.commit(head, firstLoose(head.size));
    loaded = await publish({ frontier: next.frontier, head, etag: known.etag });
    await dropPartial(next.filled);
    return state.end() > to;
  }

  /** Bundle by bundle, the first of which has new entries: each round makes some headway. */
  function roundRows(from: number, to: number): readonly LogRow[] {
    const rows: LogRow[] = [];
    let bytes = 0;
    for (let at = from; at < to && bytes < maxRoundBytes; at += tileWidth) {
      const bundle = state.rows(at, Math.min(to, at + tileWidth));
      for (const { sealed } of bundle) bytes += sealed?.length ?? 0;
      rows.push(...bundle);
    }
    return rows;
  }

  async function sign({ frontier, root }: Advance): Promise<LogHead> {
    const { size } = frontier.tree;
    const text = formatCheckpoint({ origin: signer.name, size, root });
    return { size, root, note: formatNote({ text, signatures: [await signer.sign(text)] }) };
  }

  async function writeFiles(files: readonly LogFile[]): Promise<void> {
    for (let at = 0; at < files.length; at += writesAtOnce) {
      await Promise.all(files.slice(at, at + writesAtOnce).map(writeOnce));
    }
  }

  async function writeOnce({ path, bytes }: LogFile): Promise<void> {
    if (await objects.create(path, bytes)) return;
    const standing = await objects.get(path);
    if (standing === undefined || !equalBytes(standing.bytes, bytes)) {
      throw new EdgewiseError(
        'internal',
        `log file ${path} is there with other bytes: the log goes no further`,
      );
    }
  }

  /** Partial files that a full one has replaced. Left-over ones are harmless, so a failure here is none of the round. */
  async function dropPartial(filled: readonly TileRef[]): Promise<void> {
    try {
      const partial = await Promise.all(filled.map((ref) => objects.list(`${tilePath(ref)}.p/`)));
      if (partial.flat().length > 0) await objects.delete(partial.flat());
    } catch {
      // They stay.
    }
  }

  async function cosign(note: string, known: Loaded): Promise<void> {
    const { kept, size } = await mergeCosignatures(note, {
      state,
      head: known.head,
      witnesses: options.witnesses,
    });
    // What is there already costs no write: anybody can send it.
    if (state.noteOf(size)?.note === kept.note) return;
    state.renote(size, kept);
    if (size !== known.head?.size) return;
    loaded = await publish({ ...known, head: { ...known.head, note: kept.note } });
  }

  return {
    round: () => alone(round),
    ready: () => alone((known) => Promise.resolve(known.head?.size ?? 0)),
    cosign: (note) => alone((known) => cosign(note, known)),
  };
}

/** What is refused was not begun. */
function isRefusal(error: unknown): boolean {
  return isEdgewiseError(error) && (error.code === 'invalid_request' || error.code === 'conflict');
}
