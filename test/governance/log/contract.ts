/** The contract suite that every driver of the log passes. */

import { assert, describe, expect, it } from 'vitest';
import { toHex } from '../../../src/bytes.ts';
import { consistencyPath, inclusionPath, leafHash } from '../../../src/governance/log/merkle.ts';
import { decodeProof, encodeProof, verifyProof } from '../../../src/governance/log/proof.ts';
import { bundleEntries, newTiles, tileNodes, tilePath } from '../../../src/governance/log/tiles.ts';
import type { SealedPage } from '../../../src/governance/log/types.ts';
import { verifyConsistency, verifyInclusion } from '../../../src/governance/log/verify.ts';
import { cosignatureContract } from './cosignature-contract.ts';
import { filledLog, type MakeLog, publishedCheckpoint } from './log-under-test.ts';
import { hashOf, idOf, recordOf, recordsOf, sealedOf, testPolicy } from './records.ts';

export function receiptLogContract(name: string, make: MakeLog): void {
  const fillLog = (count: number) => filledLog(make, count);

  describe(`the log over ${name}`, () => {
    it('proves each entry at the position of its append', async () => {
      const { log } = await fillLog(5);
      for (let n = 0; n < 5; n += 1) {
        const proof = await log.prove(await hashOf(n), 0);
        assert(proof !== undefined);
        expect(proof.index).toBe(n);
        const { entry } = await recordOf(n);
        const held = decodeProof(encodeProof(proof));
        expect(await verifyProof(held, entry, await testPolicy())).toMatchObject({ index: n, size: 5 });
      }
    });

    it('has no proof and no file before there is an entry', async () => {
      const { log, settle } = await make();
      await log.append([]);
      await settle();
      expect(await log.prove(await hashOf(0), 0)).toBeUndefined();
      expect(await log.readFile('checkpoint')).toBeUndefined();
      expect(await log.readFile('tile/0/000.p/1')).toBeUndefined();
      expect(await log.findSealed(idOf(0))).toBeUndefined();
    });

    it('proves an entry only after its checkpoint is published, and waits for it', async () => {
      const { log, settle } = await make();
      const proof = log.prove(await hashOf(1), 20_000);
      await log.append(await recordsOf(0, 2));
      expect(await log.prove(await hashOf(1), 0)).toBeUndefined();
      await settle();
      expect((await proof)?.index).toBe(1);
    });

    it('keeps the position of a receipt that is submitted again', async () => {
      const { log, settle } = await fillLog(3);
      await log.append([await recordOf(0), ...(await recordsOf(1, 5)), ...(await recordsOf(4, 5))]);
      await settle();
      expect((await log.prove(await hashOf(0), 0))?.index).toBe(0);
      expect((await log.prove(await hashOf(4), 0))?.index).toBe(4);
      expect((await publishedCheckpoint(log)).size).toBe(5);
    });

    it('identifies a receipt by its hash, whatever else its entry contains', async () => {
      const { log, settle } = await fillLog(1);
      const { entry } = await recordOf(0);
      const other = Uint8Array.from(entry);
      other[52] = 9;
      await log.append([{ id: 'other', entry: other }]);
      await settle();
      expect((await publishedCheckpoint(log)).size).toBe(1);
    });

    it('proves every entry from the files alone', async () => {
      const { log, settle } = await make();
      for (const [from, to] of [
        [0, 1],
        [1, 100],
        [100, 300],
        [300, 600],
      ] as const) {
        await log.append(await recordsOf(from, to));
        await settle();
      }
      const { size, root } = await publishedCheckpoint(log);
      expect(size).toBe(600);
      const read = tileNodes(size, (path) => log.readFile(path));
      for (const ref of newTiles(0, size).filter(({ level }) => level === undefined)) {
        const entries = await bundleEntries(ref, (path) => log.readFile(path));
        for (const [at, entry] of entries.entries()) {
          const index = ref.index * 256 + at;
          expect(toHex(entry)).toBe(toHex((await recordOf(index)).entry));
          const path = await inclusionPath(index, size, read);
          const claim = { index, size, root, path, leafHash: leafHash(entry) };
          expect(verifyInclusion(claim), `entry ${index}`).toBe(true);
        }
      }
    });

    it('publishes trees that each extend all earlier ones', async () => {
      const { log, settle } = await make();
      const seen: { size: number; root: Uint8Array }[] = [];
      for (const [from, to] of [
        [0, 3],
        [3, 256],
        [256, 257],
        [257, 700],
      ] as const) {
        await log.append(await recordsOf(from, to));
        await settle();
        seen.push(await publishedCheckpoint(log));
      }
      const now = await publishedCheckpoint(log);
      const read = tileNodes(now.size, (path) => log.readFile(path));
      for (const { size, root } of seen) {
        const path = await consistencyPath(size, now.size, read);
        const claim = { oldSize: size, oldRoot: root, newSize: now.size, newRoot: now.root, path };
        expect(verifyConsistency(claim)).toBe(true);
      }
    });

    it('serves the files of its latest tree, and no partial file that a full one replaced', async () => {
      const { log, settle } = await fillLog(200);
      expect(await log.readFile('tile/0/000.p/200')).toHaveLength(200 * 32);
      await log.append(await recordsOf(200, 520));
      await settle();
      for (const ref of newTiles(0, 520)) expect(await log.readFile(tilePath(ref))).toBeDefined();
      expect(await log.readFile('tile/0/000.p/200')).toBeUndefined();
      expect(await log.readFile('tile/entries/000.p/200')).toBeUndefined();
      expect(await log.readFile('tile/1/000')).toBeUndefined();
    });

    it.each([
      'receipts/000',
      '',
      '/checkpoint',
      'tile/../receipts/000',
      'tile/0/0',
      'tile/0/000.p/256',
      'log/checkpoint',
    ])('has no file %j', async (path) => {
      const { log } = await fillLog(260);
      expect(await log.readFile(path)).toBeUndefined();
    });

    it('returns sealed receipts before and after their bundle is full', async () => {
      const { log, settle } = await make();
      await log.append(await recordsOf(0, 10));
      expect(await log.findSealed(idOf(4))).toEqual(sealedOf(4));
      await settle();
      expect(await log.findSealed(idOf(4))).toEqual(sealedOf(4));
      await log.append(await recordsOf(10, 515));
      await settle();
      for (const n of [0, 4, 255, 256, 511, 513]) expect(await log.findSealed(idOf(n))).toEqual(sealedOf(n));
      for (const n of [2, 257, 512, 514]) {
        const { sealed } = await recordOf(n);
        expect(await log.findSealed(idOf(n))).toEqual(sealed);
      }
      expect(await log.findSealed('unknown')).toBeUndefined();
    });

    it('returns all sealed receipts in the order of the log, starting at any entry', async () => {
      const { log, settle } = await make();
      expect(await log.listSealed(0)).toEqual({ sealed: [], next: undefined });
      for (const [from, to] of [
        [0, 10],
        [10, 256],
        [256, 515],
      ] as const) {
        await log.append(await recordsOf(from, to));
        // Entries that wait for their round are included.
        for (const start of [0, 7, 255, 256, 300].filter((at) => at < to)) {
          const found: (Uint8Array | undefined)[] = [];
          for (let at: number | undefined = start; at !== undefined; ) {
            const { sealed, next }: SealedPage = await log.listSealed(at);
            found.push(...sealed);
            at = next;
          }
          const expected = await Promise.all(
            Array.from({ length: to - start }, async (_, at) => (await recordOf(start + at)).sealed),
          );
          expect(found).toEqual(expected);
        }
        await settle();
      }
      expect(await log.listSealed(515)).toEqual({ sealed: [], next: undefined });
      expect(await log.listSealed(100_000)).toEqual({ sealed: [], next: undefined });
    });

    it('refuses a batch with a malformed record, and appends none of it', async () => {
      const { log, settle } = await make();
      const good = await recordOf(0);
      const { entry } = await recordOf(1);
      const bad = [
        { id: 'a', entry: entry.slice(1) },
        { id: 'a', entry: Uint8Array.from([2, ...entry.slice(1)]) },
        { id: '', entry },
        { id: 'a'.repeat(129), entry },
        { id: 'a', entry, sealed: new Uint8Array(64 * 1024 + 1) },
        { id: 'a', entry, sealed: new Uint8Array(0) },
      ];
      for (const record of bad) {
        await expect(log.append([good, record])).rejects.toMatchObject({ code: 'invalid_request' });
      }
      await settle();
      expect(await log.readFile('checkpoint')).toBeUndefined();
    });

    cosignatureContract(make);
  });
}
