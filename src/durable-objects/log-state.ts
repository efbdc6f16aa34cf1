/**
 * The log's state in the SQLite storage of a Durable Object.
 *
 * `row`: entries that wait to be sequenced, and those whose bundle is not full. `leaf` and `receipt`: the index of a receipt by
 * its hash and by its id. They take about 100 bytes per receipt, so the 10 GB that an object may hold suffice for some 100
 * million receipts. `note`: the latest checkpoints. `head`: one row.
 */
import { hashInEntry } from '../governance/log/entry.ts';
import { keptNotes, type LogState } from '../governance/log/store.ts';

const schema = `
  CREATE TABLE IF NOT EXISTS row (idx INTEGER PRIMARY KEY, entry BLOB NOT NULL, sealed BLOB);
  CREATE TABLE IF NOT EXISTS leaf (hash BLOB PRIMARY KEY, idx INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS receipt (id TEXT PRIMARY KEY, idx INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS note (size INTEGER PRIMARY KEY, note TEXT NOT NULL, cosigners INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS head (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root BLOB NOT NULL);
`;

export function durableObjectLogState(storage: DurableObjectStorage): LogState {
  const { sql } = storage;
  sql.exec(schema);

  function first<T extends Record<string, SqlStorageValue>>(
    query: string,
    ...bindings: unknown[]
  ): T | undefined {
    const { value } = sql.exec<T>(query, ...bindings).next();
    return value;
  }

  function end(): number {
    const { last } = sql.exec<{ last: number | null }>('SELECT max(idx) AS last FROM row').one();
    const size = first<{ size: number }>('SELECT size FROM head')?.size ?? 0;
    return Math.max(last === null ? 0 : last + 1, size);
  }

  return {
    append(records) {
      return storage.transactionSync(() => {
        const before = end();
        let next = before;
        for (const { id, entry, sealed } of records) {
          const added = sql.exec('INSERT OR IGNORE INTO leaf VALUES (?, ?)', hashInEntry(entry), next);
          if (added.rowsWritten === 0) continue;
          sql.exec('INSERT OR IGNORE INTO receipt VALUES (?, ?)', id, next);
          sql.exec('INSERT INTO row VALUES (?, ?, ?)', next, entry, sealed ?? null);
          next += 1;
        }
        return next - before;
      });
    },
    end,
    rows(from, to) {
      const rows = sql.exec<{ entry: ArrayBuffer; sealed: ArrayBuffer | null }>(
        'SELECT entry, sealed FROM row WHERE idx >= ? AND idx < ? ORDER BY idx',
        from,
        to,
      );
      return Array.from(rows, ({ entry, sealed }) => ({
        entry: new Uint8Array(entry),
        sealed: sealed === null ? undefined : new Uint8Array(sealed),
      }));
    },
    head() {
      const head = first<{ size: number; root: ArrayBuffer; note: string }>(
        'SELECT size, root, note FROM head JOIN note USING (size)',
      );
      return head && { ...head, root: new Uint8Array(head.root) };
    },
    commit(head, keepFrom) {
      storage.transactionSync(() => {
        sql.exec('INSERT OR REPLACE INTO head VALUES (1, ?, ?)', head.size, head.root);
        sql.exec('INSERT OR REPLACE INTO note VALUES (?, ?, 0)', head.size, head.note);
        sql.exec(
          'DELETE FROM note WHERE size <= (SELECT size FROM note ORDER BY size DESC LIMIT 1 OFFSET ?)',
          keptNotes,
        );
        sql.exec('DELETE FROM row WHERE idx < ?', keepFrom);
      });
    },
    noteOf: (size) =>
      first<{ note: string; cosigners: number }>('SELECT note, cosigners FROM note WHERE size = ?', size),
    replaceNote(size, { note, cosigners }) {
      sql.exec('UPDATE note SET note = ?, cosigners = ? WHERE size = ?', note, cosigners, size);
    },
    bestNote: (index, size) =>
      first<{ note: string }>(
        'SELECT note FROM note WHERE size > ? AND size <= ? ORDER BY cosigners DESC, size DESC LIMIT 1',
        index,
        size,
      )?.note,
    indexOf: (receiptHash) => first<{ idx: number }>('SELECT idx FROM leaf WHERE hash = ?', receiptHash)?.idx,
    find(id) {
      const found = first<{ idx: number; sealed: ArrayBuffer | null }>(
        'SELECT receipt.idx AS idx, row.sealed AS sealed FROM receipt LEFT JOIN row ON row.idx = receipt.idx WHERE id = ?',
        id,
      );
      if (found === undefined) return undefined;
      return { index: found.idx, sealed: found.sealed === null ? undefined : new Uint8Array(found.sealed) };
    },
  };
}
