/** The log's state and files in the memory of the process. */
import { toHex } from '../../src/bytes.ts';
import { hashInEntry } from '../../src/governance/log/entry.ts';
import type {
  KeptNote,
  LogHead,
  LogObjects,
  LogRow,
  LogState,
  StoredObject,
} from '../../src/governance/log/store.ts';
import { keptNotes } from '../../src/governance/log/store.ts';

export function memoryLogState(): LogState {
  const rows = new Map<number, LogRow>();
  const indexes = new Map<string, number>();
  const ids = new Map<string, number>();
  const notes = new Map<number, KeptNote>();
  let head: LogHead | undefined;
  let end = 0;

  return {
    append(records) {
      const before = end;
      for (const { id, entry, sealed } of records) {
        const hash = toHex(hashInEntry(entry));
        if (indexes.has(hash)) continue;
        indexes.set(hash, end);
        if (!ids.has(id)) ids.set(id, end);
        rows.set(end, { entry, sealed });
        end += 1;
      }
      return end - before;
    },
    end: () => end,
    rows(from, to) {
      const some: LogRow[] = [];
      for (let index = from; index < to; index += 1) {
        const row = rows.get(index);
        if (row !== undefined) some.push(row);
      }
      return some;
    },
    head: () => head,
    commit(next, keepFrom) {
      head = next;
      notes.set(next.size, { note: next.note, cosigners: 0 });
      for (const size of [...notes.keys()].slice(0, -keptNotes)) notes.delete(size);
      for (const index of rows.keys()) if (index < keepFrom) rows.delete(index);
    },
    noteOf: (size) => notes.get(size),
    replaceNote(size, kept) {
      notes.set(size, kept);
      if (head?.size === size) head = { ...head, note: kept.note };
    },
    bestNote(index, size) {
      const able = [...notes].filter(([of]) => of > index && of <= size);
      const [best] = able.sort(([one, a], [other, b]) => b.cosigners - a.cosigners || other - one);
      return best?.[1].note;
    },
    indexOf: (receiptHash) => indexes.get(toHex(receiptHash)),
    find(id) {
      const index = ids.get(id);
      return index === undefined ? undefined : { index, sealed: rows.get(index)?.sealed };
    },
  };
}

export function memoryLogObjects(): LogObjects {
  const objects = new Map<string, StoredObject>();
  let writes = 0;

  function write(path: string, bytes: StoredObject['bytes']): string {
    writes += 1;
    const etag = String(writes);
    objects.set(path, { bytes, etag });
    return etag;
  }

  return {
    async get(path) {
      return objects.get(path);
    },
    async create(path, bytes) {
      if (objects.has(path)) return false;
      write(path, bytes);
      return true;
    },
    async replace(path, bytes, etag) {
      return objects.get(path)?.etag === etag ? write(path, bytes) : undefined;
    },
    async list(prefix) {
      return [...objects.keys()].filter((path) => path.startsWith(prefix)).sort();
    },
    async delete(paths) {
      for (const path of paths) objects.delete(path);
    },
  };
}
