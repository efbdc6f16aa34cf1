/** The contract suite that every driver of the log passes. */

import { assert, describe, expect, it } from 'vitest';
import { toHex } from '../../../src/bytes.ts';
import { openCheckpoint } from '../../../src/governance/log/checkpoint.ts';
import { consistencyPath, inclusionPath, leafHash } from '../../../src/governance/log/merkle.ts';
import { formatSignatureLine, parseNote } from '../../../src/governance/log/note.ts';
import { decodeProof, encodeProof, verifyProof } from '../../../src/governance/log/proof.ts';
import { bundleEntries, newTiles, tileNodes, tilePath } from '../../../src/governance/log/tiles.ts';
import type { ReceiptLog, SealedPage } from '../../../src/governance/log/types.ts';
import { verifyConsistency, verifyInclusion } from '../../../src/governance/log/verify.ts';
import { strangeWitness, testWitnesses } from '../../support/governance-keys.ts';
import { parseCosignerKey } from '../../support/witness.ts';
import { hashOf, idOf, recordOf, recordsOf, sealedOf, testPolicy } from './records.ts';

export interface LogUnderTest {
  readonly log: ReceiptLog;
  /** Runs the rounds that are due. */
  settle(): Promise<void>;
}

/** @param make Returns a new, empty log with the test keys. */
export function receiptLogContract(name: string, make: () => Promise<LogUnderTest>): void {
  const filled = async (count: number) => {
    const made = await make();
    await made.log.append(await recordsOf(0, count));
    await made.settle();
    return made;
  };

  /** Opens the checkpoint as a client reads it from the log's files. */
  const published = async (log: ReceiptLog) => {
    const bytes = await log.readFile('checkpoint');
    const text = new TextDecoder().decode(bytes);
    const { log: key, witnesses = [] } = await testPolicy();
    return { text, ...(await openCheckpoint(text, key, witnesses)) };
  };

  describe(`the log over ${name}`, () => {
    it('proves each entry at the position of its append', async () => {
      const { log } = await filled(5);
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
      const { log, settle } = await filled(3);
      await log.append([await recordOf(0), ...(await recordsOf(1, 5)), ...(await recordsOf(4, 5))]);
      await settle();
      expect((await log.prove(await hashOf(0), 0))?.index).toBe(0);
      expect((await log.prove(await hashOf(4), 0))?.index).toBe(4);
      expect((await published(log)).size).toBe(5);
    });

    it('identifies a receipt by its hash, whatever else its entry contains', async () => {
      const { log, settle } = await filled(1);
      const { entry } = await recordOf(0);
      const other = Uint8Array.from(entry);
      other[52] = 9;
      await log.append([{ id: 'other', entry: other }]);
      await settle();
      expect((await published(log)).size).toBe(1);
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
      const { size, root } = await published(log);
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
        seen.push(await published(log));
      }
      const now = await published(log);
      const read = tileNodes(now.size, (path) => log.readFile(path));
      for (const { size, root } of seen) {
        const path = await consistencyPath(size, now.size, read);
        const claim = { oldSize: size, oldRoot: root, newSize: now.size, newRoot: now.root, path };
        expect(verifyConsistency(claim)).toBe(true);
      }
    });

    it('serves the files of its latest tree, and no partial file that a full one replaced', async () => {
      const { log, settle } = await filled(200);
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
      const { log } = await filled(260);
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

    const [one, two] = testWitnesses;
    const cosigned = async (text: string, { privateKey }: { privateKey: string }, at = 1_800_000_000) => {
      const cosigner = await parseCosignerKey(privateKey, () => at);
      return `${formatSignatureLine(await cosigner.sign(text))}\n`;
    };

    it('adds the signature lines of its witnesses to the checkpoint', async () => {
      const { log, settle } = await filled(2);
      const { note, text } = await published(log);
      await log.cosign(await cosigned(note.text, one));
      await log.cosign(
        `${text}${await cosigned(note.text, strangeWitness)}${await cosigned(note.text, two)}`,
      );
      // The same witness again: its newer line replaces the older one.
      await log.cosign(await cosigned(note.text, one, 1_800_000_060));
      const now = await published(log);
      expect(now.note.text).toBe(note.text);
      expect(now.witnesses.map(({ name }) => name).sort()).toEqual(['witness.test/one', 'witness.test/two']);
      expect(now.note.signatures).toHaveLength(3);
      // Lines are public, so any client can send an older or equal one: it changes nothing.
      await log.cosign(await cosigned(note.text, one));
      await log.cosign(await cosigned(note.text, one, 1_800_000_060));
      expect((await published(log)).text).toBe(now.text);
      const proof = await log.prove(await hashOf(0), 0);
      expect(proof?.checkpoint).toBe(now.text);
      await log.append(await recordsOf(2, 3));
      await settle();
      expect((await published(log)).size).toBe(3);
    });

    it('takes signature lines for an earlier checkpoint, and proves the entries it covers with it', async () => {
      const { log, settle } = await filled(2);
      const old = await published(log);
      await log.append(await recordsOf(2, 4));
      await settle();
      await log.cosign(`${old.text}${await cosigned(old.note.text, one)}`);
      expect((await published(log)).witnesses).toEqual([]);
      const policy = { ...(await testPolicy()), quorum: 1 };
      for (const [n, size] of [
        [1, 2],
        [3, 4],
      ] as const) {
        const proof = await log.prove(await hashOf(n), 0);
        assert(proof !== undefined);
        const { entry } = await recordOf(n);
        const checked = verifyProof(proof, entry, policy);
        if (size === 2) expect(await checked).toMatchObject({ size: 2, witnesses: ['witness.test/one'] });
        else await expect(checked).rejects.toMatchObject({ code: 'signature_invalid' });
        expect(parseNote(proof.checkpoint).text.split('\n')[1]).toBe(String(size));
      }
    });

    it('refuses signature lines of unknown witnesses, of other texts and for unknown checkpoints', async () => {
      const { log } = await filled(2);
      const { note, text } = await published(log);
      const unknown = await cosigned(note.text, strangeWitness);
      const wrong = await cosigned(`${note.text}x\n`, one);
      for (const given of [
        unknown,
        wrong,
        `${text}${unknown}`,
        `${text}${wrong}`,
        text,
        'nonsense',
        '— a b\n',
        '',
      ]) {
        await expect(log.cosign(given)).rejects.toMatchObject({ code: 'invalid_request' });
      }
      const elsewhere = note.text.replace('\n2\n', '\n3\n');
      const forked = note.text.replace(/\n[^\n]{43}=\n$/, `\n${'A'.repeat(43)}=\n`);
      for (const other of [elsewhere, forked]) {
        await expect(log.cosign(`${other}\n${await cosigned(other, one)}`)).rejects.toMatchObject({
          code: 'conflict',
        });
      }
      expect((await published(log)).text).toBe(text);
    });

    it('has no checkpoint to cosign before there is an entry', async () => {
      const { log } = await make();
      await expect(log.cosign(await cosigned('text\n', one))).rejects.toMatchObject({ code: 'conflict' });
    });
  });
}
