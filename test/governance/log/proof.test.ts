import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCheckpoint, openCheckpoint, parseCheckpoint } from '../../../src/governance/log/checkpoint.ts';
import { decodeEntry, encodeEntry, entryBytes, entryOf } from '../../../src/governance/log/entry.ts';
import { emptyTree, grow, inclusionPath, leafHash, rootOf } from '../../../src/governance/log/merkle.ts';
import { formatNote, parseNote } from '../../../src/governance/log/note.ts';
import { parseSignerKey, parseVerifierKey } from '../../../src/governance/log/note-keys.ts';
import { decodeProof, encodeProof, verifyProof } from '../../../src/governance/log/proof.ts';
import {
  strangeWitness,
  testLogKey,
  testLogVerifierKey,
  testWitnesses,
} from '../../support/governance-keys.ts';
import { parseCosignerKey } from '../../support/witness.ts';
import { specCheckpoint } from './vectors.ts';

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Uint8Array.from(bytes));

describe('entries', () => {
  it('survive encoding and decoding', () => {
    fc.assert(
      fc.property(hash, hash, fc.nat(2 ** 32 - 1), (receiptHash, tag, units) => {
        const entry = { receiptHash, meterTag: tag.slice(16), units };
        expect(encodeEntry(entry)).toHaveLength(entryBytes);
        expect(decodeEntry(encodeEntry(entry))).toEqual(entry);
      }),
    );
  });

  it('are laid out as documented', async () => {
    const entry = encodeEntry(await entryOf('abc', new Uint8Array(16).fill(7), 0x01020304));
    expect([...entry.slice(0, 5)]).toEqual([1, 0xba, 0x78, 0x16, 0xbf]);
    expect([...entry.slice(33, 49)]).toEqual(Array.from({ length: 16 }, () => 7));
    expect([...entry.slice(49)]).toEqual([1, 2, 3, 4]);
  });

  it.each([-1, 0.5, 2 ** 32, Number.NaN])('refuse %d units', (units) => {
    const entry = { receiptHash: new Uint8Array(32), meterTag: new Uint8Array(16), units };
    expect(() => encodeEntry(entry)).toThrow(expect.objectContaining({ code: 'internal' }));
  });

  it.each([new Uint8Array(52), new Uint8Array(54).fill(1), new Uint8Array(53).fill(2)])(
    'refuse other bytes',
    (bytes) => {
      expect(() => decodeEntry(bytes)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
    },
  );
});

describe('checkpoints', () => {
  it('survive encoding and decoding', () => {
    fc.assert(
      fc.property(hash, fc.maxSafeNat(), (root, size) => {
        const checkpoint = { origin: 'log.test/a', size, root };
        expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual(checkpoint);
      }),
    );
  });

  it("parse the specification's example, and ignore extension lines", () => {
    const { text } = parseNote(specCheckpoint);
    const checkpoint = parseCheckpoint(text);
    expect(checkpoint).toMatchObject({ origin: 'example.com/behind-the-sofa', size: 20_852_163 });
    expect(formatCheckpoint(checkpoint)).toBe(text);
    expect(parseCheckpoint(`${text}extension\n`)).toEqual(checkpoint);
  });

  const root = 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=';
  it.each([
    `\n1\n${root}\n`,
    `log\n01\n${root}\n`,
    `log\n-1\n${root}\n`,
    `log\n9007199254740992\n${root}\n`,
    'log\n1\nAAAA\n',
    `log\n1\n${root}`,
    `log\n1\n${root}\n\n`,
    `log\n1\n${root.replace('=', '')}\n`,
    `log\n1\n${root.replace('I=', 'J=')}\n`,
  ])('refuse %j', (text) => {
    expect(() => parseCheckpoint(text)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });

  it('refuse the signature of a key whose name is not their origin', async () => {
    const signer = await parseSignerKey(testLogKey);
    const text = formatCheckpoint({ origin: 'other.test', size: 0, root: new Uint8Array(32) });
    const note = formatNote({ text, signatures: [await signer.sign(text)] });
    const log = await parseVerifierKey(testLogVerifierKey);
    await expect(openCheckpoint(note, log)).rejects.toMatchObject({ code: 'signature_invalid' });
  });
});

/** Builds a log and the proof of one leaf, cosigned with these keys. */
async function prove(size: number, index: number, cosigners: readonly string[] = []) {
  const leaves = Array.from({ length: size }, (_, at) => Uint8Array.of(at));
  const { tree, nodes } = grow(emptyTree, await Promise.all(leaves.map(leafHash)));
  const path = await inclusionPath(index, size, (level, at) =>
    Promise.resolve(nodes[level]?.[at] ?? new Uint8Array()),
  );
  const signer = await parseSignerKey(testLogKey);
  const text = formatCheckpoint({ origin: signer.name, size, root: rootOf(tree) });
  const keys = await Promise.all(cosigners.map((key) => parseCosignerKey(key, () => 1_800_000_000)));
  const signatures = await Promise.all([signer, ...keys].map((key) => key.sign(text)));
  return { leaf: Uint8Array.of(index), proof: { index, path, checkpoint: formatNote({ text, signatures }) } };
}

const policy = async () => ({
  log: await parseVerifierKey(testLogVerifierKey),
  witnesses: await Promise.all(testWitnesses.map(({ verifierKey }) => parseVerifierKey(verifierKey))),
});

describe('proof files', () => {
  it('survive encoding and decoding', () => {
    fc.assert(
      fc.property(
        fc.maxSafeNat(),
        fc.array(hash, { maxLength: 64 }),
        fc.option(
          fc.uint8Array({ minLength: 1 }).map((bytes) => Uint8Array.from(bytes)),
          { nil: undefined },
        ),
        (index, path, extra) => {
          const proof = {
            index,
            path,
            checkpoint: specCheckpoint,
            ...(extra === undefined ? {} : { extra }),
          };
          expect(decodeProof(encodeProof(proof))).toEqual(proof);
        },
      ),
    );
  });

  it('are encoded as specified', () => {
    const path = [new Uint8Array(32).fill(255)];
    expect(encodeProof({ index: 73894, path, checkpoint: 'c\n', extra: Uint8Array.of(0) })).toBe(
      'c2sp.org/tlog-proof@v1\nextra AA==\nindex 73894\n//////////////////////////////////////////8=\n\nc\n',
    );
  });

  const line = '//////////////////////////////////////////8=';
  it.each([
    '',
    'c2sp.org/tlog-proof@v1\nindex 0\n',
    'c2sp.org/tlog-proof@v2\nindex 0\n\nc\n',
    'c2sp.org/tlog-proof@v1\n\nc\n',
    'c2sp.org/tlog-proof@v1\nindex 01\n\nc\n',
    'c2sp.org/tlog-proof@v1\nindex -5\n\nc\n',
    'c2sp.org/tlog-proof@v1\nindex 9007199254740992\n\nc\n',
    'c2sp.org/tlog-proof@v1\nextra !\nindex 0\n\nc\n',
    `c2sp.org/tlog-proof@v1\nindex 0\n${line}\n!!\n\nc\n`,
    'c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\nc\n',
    `c2sp.org/tlog-proof@v1\nindex 0\n${`${line}\n`.repeat(65)}\nc\n`,
  ])('refuse %j', (text) => {
    expect(() => decodeProof(text)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});

describe('verifyProof()', () => {
  it('returns the proven entry and the witnesses that cosigned', async () => {
    const { leaf, proof } = await prove(7, 4, [testWitnesses[1].privateKey, strangeWitness.privateKey]);
    expect(await verifyProof(decodeProof(encodeProof(proof)), leaf, await policy())).toMatchObject({
      index: 4,
      size: 7,
      origin: 'log.edgewise.test/receipts',
      witnesses: ['witness.test/two'],
    });
  });

  it('requires a quorum of different witnesses', async () => {
    const [one, two] = testWitnesses.map(({ privateKey }) => privateKey);
    const quorum = { ...(await policy()), quorum: 2 };
    const both = await prove(3, 0, [one ?? '', two ?? '']);
    expect((await verifyProof(both.proof, both.leaf, quorum)).witnesses).toHaveLength(2);
    for (const cosigners of [
      [],
      [one ?? ''],
      [one ?? '', one ?? ''],
      [one ?? '', strangeWitness.privateKey],
    ]) {
      const { leaf, proof } = await prove(3, 0, cosigners);
      await expect(verifyProof(proof, leaf, quorum)).rejects.toMatchObject({ code: 'signature_invalid' });
    }
  });

  it('refuses another leaf, index, path, root or log', async () => {
    const { leaf, proof } = await prove(7, 4);
    const known = await policy();
    const other = await prove(6, 4);
    const wrong = [
      { proof, leaf: Uint8Array.of(5), policy: known },
      { proof: { ...proof, index: 5 }, leaf, policy: known },
      { proof: { ...proof, path: proof.path.slice(1) }, leaf, policy: known },
      { proof: { ...proof, checkpoint: other.proof.checkpoint }, leaf, policy: known },
      { proof: { ...proof, checkpoint: proof.checkpoint.replace('\n7\n', '\n8\n') }, leaf, policy: known },
      { proof, leaf, policy: { log: await parseVerifierKey(testWitnesses[0].verifierKey) } },
    ];
    for (const { proof: changed, leaf: data, policy: by } of wrong) {
      await expect(verifyProof(changed, data, by)).rejects.toMatchObject({ code: 'signature_invalid' });
    }
    expect(await verifyProof(proof, leaf, known)).toMatchObject({ index: 4 });
  });
});
