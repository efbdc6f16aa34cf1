/** Stores that fail at chosen operations, before or after the operation takes effect, and that record what is published. */
import { openCheckpoint } from '../../../src/governance/log/checkpoint.ts';
import { parseVerifierKey } from '../../../src/governance/log/note-keys.ts';
import type { LogObjects, LogState } from '../../../src/governance/log/store.ts';
import { testLogVerifierKey } from '../../support/governance-keys.ts';
import { memoryLogObjects, memoryLogState } from '../../support/memory-log-store.ts';

export interface Fault {
  /** Operations since the previous fault, or since the start; 0 is the first operation. */
  readonly afterOperations: number;
  /** Whether the operation takes effect before it fails. */
  readonly isDone: boolean;
}

export class Crash extends Error {}

export interface Published {
  readonly size: number;
  readonly root: Uint8Array;
}

export function faultyStores(faults: readonly Fault[]) {
  const state = memoryLogState();
  const objects = memoryLogObjects();
  const published: Published[] = [];
  let operations = 0;
  let next = 0;

  /** Returns the fault of this operation; undefined if it succeeds. */
  function fault(): Fault | undefined {
    const due = faults[next];
    if (due === undefined || operations < due.afterOperations) {
      operations += 1;
      return undefined;
    }
    next += 1;
    operations = 0;
    return due;
  }

  const inState =
    <A extends unknown[], R>(operation: (...given: A) => R) =>
    (...given: A): R => {
      const due = fault();
      if (due?.isDone === false) throw new Crash();
      const result = operation(...given);
      if (due !== undefined) throw new Crash();
      return result;
    };

  const inObjects =
    <A extends unknown[], R>(operation: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      const due = fault();
      if (due?.isDone === false) throw new Crash();
      const result = await operation(...given);
      if (due !== undefined) throw new Crash();
      return result;
    };

  const faultyState: LogState = {
    append: inState(state.append),
    end: inState(state.end),
    rows: inState(state.rows),
    head: inState(state.head),
    commit: inState(state.commit),
    noteOf: inState(state.noteOf),
    replaceNote: inState(state.replaceNote),
    bestNote: inState(state.bestNote),
    indexOf: inState(state.indexOf),
    find: inState(state.find),
  };

  const faultyObjects: LogObjects = {
    get: inObjects(objects.get),
    create: inObjects(objects.create),
    replace: inObjects(async (path, bytes, etag) => {
      const written = await objects.replace(path, bytes, etag);
      if (written !== undefined) {
        const log = await parseVerifierKey(testLogVerifierKey);
        published.push(await openCheckpoint(new TextDecoder().decode(bytes), log));
      }
      return written;
    }),
    list: inObjects(objects.list),
    delete: inObjects(objects.delete),
  };

  return {
    /** The stores beneath, which survive a crash. */
    state,
    objects,
    faultyState,
    faultyObjects,
    published,
    /** Returns the number of faults so far. */
    crashes: () => next,
  };
}
