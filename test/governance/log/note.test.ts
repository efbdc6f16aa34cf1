import { describe, expect, it } from 'vitest';
import {
  cosignatureTime,
  formatNote,
  formatSignatureLine,
  parseNote,
  signersOf,
} from '../../../src/governance/log/note.ts';
import {
  generateSignerKey,
  parseSignerKey,
  parseVerifierKey,
} from '../../../src/governance/log/note-keys.ts';
import { testLogKey, testLogVerifierKey, testWitnesses } from '../../support/governance-keys.ts';
import { parseCosignerKey } from '../../support/witness.ts';
import { goNote, otherVerifierKeys, specCheckpoint, specNote } from './vectors.ts';

const [witness] = testWitnesses;

describe('parseSignerKey()', () => {
  it("signs Go's example note with the same bytes as Go", async () => {
    const signer = await parseSignerKey(goNote.privateKey);
    expect(signer.name).toBe('PeterNeumann');
    expect(signer.verifierKey).toBe(goNote.verifierKey);
    expect(formatSignatureLine(await signer.sign(goNote.text))).toBe(goNote.line);
  });

  it('refuses each part of a key, and each key with a changed character', async () => {
    await expectManglingsRefused(goNote.privateKey, parseSignerKey);
  });

  it('does not repeat the key in its message', async () => {
    const error: unknown = await parseSignerKey(`${goNote.privateKey}AAAA`).catch(
      (thrown: unknown) => thrown,
    );
    expect(String(error)).not.toContain('KFALV');
  });
});

describe('generateSignerKey()', () => {
  it('returns a new key that signs', async () => {
    const keys = await Promise.all([generateSignerKey('log.test/a'), generateSignerKey('log.test/a')]);
    expect(keys[0]).not.toBe(keys[1]);
    const signer = await parseSignerKey(keys[0]);
    const note = { text: 'text\n', signatures: [await signer.sign('text\n')] };
    const verifier = await parseVerifierKey(signer.verifierKey);
    expect(await signersOf(note, [verifier])).toEqual([verifier]);
  });

  it.each(['', 'a b', 'a+b', 'a\nb', 'a\u00a0b'])('refuses the name %j', async (name) => {
    await expect(generateSignerKey(name)).rejects.toMatchObject({ code: 'invalid_request' });
  });
});

describe('parseVerifierKey()', () => {
  it.each([goNote.verifierKey, goNote.otherVerifierKey, specNote.verifierKey, ...otherVerifierKeys])(
    'accepts %s',
    async (key) => {
      expect((await parseVerifierKey(key)).name).toBe(key.split('+')[0]);
    },
  );

  it('refuses each part of a key, and each key with a changed character', async () => {
    await expectManglingsRefused(goNote.verifierKey, parseVerifierKey);
  });

  it.each([
    'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==',
    'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
  ])('refuses %s: length or type', async (key) => {
    await expect(parseVerifierKey(key)).rejects.toMatchObject({ code: 'invalid_request' });
  });
});

async function expectManglingsRefused(key: string, parse: (text: string) => Promise<unknown>): Promise<void> {
  const manglings: string[] = [];
  for (let from = 0; from <= key.length; from += 1) {
    for (let to = from + 1; to <= key.length; to += 1) manglings.push(key.slice(from, to));
    manglings.push(
      `${key.slice(0, from)}${String.fromCharCode(key.charCodeAt(from) + 1)}${key.slice(from + 1)}`,
    );
  }
  const accepted = await Promise.all(
    manglings
      .filter((text) => text !== key)
      .map((text) =>
        parse(text).then(
          () => text,
          () => undefined,
        ),
      ),
  );
  expect(accepted.filter((text) => text !== undefined)).toEqual([]);
}

describe('signersOf()', () => {
  const both = `${goNote.text}\n${goNote.line}\n${goNote.otherLine}\n`;

  it("verifies the specification's note", async () => {
    const verifier = await parseVerifierKey(specNote.verifierKey);
    const note = parseNote(specNote.note);
    expect(note.text).toBe('This is an example message.\n');
    expect(await signersOf(note, [verifier])).toEqual([verifier]);
  });

  it('returns the known keys that signed, and ignores the others', async () => {
    const [peter, enoch] = await Promise.all([
      parseVerifierKey(goNote.verifierKey),
      parseVerifierKey(goNote.otherVerifierKey),
    ]);
    expect(await signersOf(parseNote(both), [peter, enoch])).toEqual([peter, enoch]);
    expect(await signersOf(parseNote(both), [enoch])).toEqual([enoch]);
    expect(await signersOf(parseNote(both), [])).toEqual([]);
  });

  it('refuses the signature of a known key over another text', async () => {
    const peter = await parseVerifierKey(goNote.verifierKey);
    const note = parseNote(both.replace('answer', 'Answer'));
    await expect(signersOf(note, [peter])).rejects.toMatchObject({ code: 'signature_invalid' });
  });
});

describe('parseNote()', () => {
  it('splits the note at the last empty line', () => {
    const note = parseNote(`one\n\ntwo\n\n${goNote.line}\n`);
    expect(note.text).toBe('one\n\ntwo\n');
    expect(note.signatures).toHaveLength(1);
  });

  it('and formatNote() give the same bytes', () => {
    expect(formatNote(parseNote(specCheckpoint))).toBe(specCheckpoint);
  });

  it.each([
    ['no signature', 'text\n\n'],
    ['no empty line', `text\n${goNote.line}\n`],
    ['no newline at the end', `text\n\n${goNote.line}`],
    ['a carriage return', `text\r\n\n${goNote.line}\n`],
    ['a hyphen for the dash', `text\n\n${goNote.line.replace('—', '-')}\n`],
    ['a space after the signature', `text\n\n${goNote.line} \n`],
    ['a plus in the name', `text\n\n${goNote.line.replace('PeterNeumann', 'Peter+Neumann')}\n`],
    ['padding left out', `text\n\n${goNote.line.replace('=', '')}\n`],
    ['nothing after the key id', 'text\n\n— name AAAAAA==\n'],
    ['more lines than 64', `text\n\n${`${goNote.line}\n`.repeat(65)}`],
  ])('refuses a note with %s', (_, note) => {
    expect(() => parseNote(note)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });

  it('accepts 64 signatures', () => {
    expect(parseNote(`text\n\n${`${goNote.line}\n`.repeat(64)}`).signatures).toHaveLength(64);
  });
});

describe('a cosignature', () => {
  it("is framed as in the specification's example", () => {
    const [, line] = parseNote(specCheckpoint).signatures;
    expect(line?.name).toBe('witness.example.com/w1');
    expect(line && cosignatureTime(line.signature)).toBe(1679315147n);
  });

  it('verifies only for its text and time', async () => {
    const verifier = await parseVerifierKey(witness.verifierKey);
    const cosigner = await parseCosignerKey(witness.privateKey, () => 1_800_000_000);
    expect(cosigner.verifierKey).toBe(witness.verifierKey);
    const { signature } = await cosigner.sign('text\n');
    expect(cosignatureTime(signature)).toBe(1_800_000_000n);
    expect(await verifier.verify('text\n', signature)).toBe(true);
    expect(await verifier.verify('Text\n', signature)).toBe(false);
    const later = Uint8Array.from(signature);
    later[7] = (later[7] ?? 0) + 1;
    expect(await verifier.verify('text\n', later)).toBe(false);
    expect(await verifier.verify('text\n', signature.slice(8))).toBe(false);
  });

  it("is signed over the specification's message", async () => {
    const text = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';
    const cosigner = await parseCosignerKey(witness.privateKey, () => 1679315147);
    const plain = await parseSignerKey(witness.privateKey);
    const { signature } = await cosigner.sign(text);
    const { signature: expected } = await plain.sign(`cosignature/v1\ntime 1679315147\n${text}`);
    expect(signature.slice(8)).toEqual(expected);
  });

  it('has another key id than the plain signature of its key', async () => {
    const cosigner = await parseCosignerKey(testLogKey, () => 1);
    const plain = await parseVerifierKey(testLogVerifierKey);
    const note = { text: 'text\n', signatures: [await cosigner.sign('text\n')] };
    expect(await signersOf(note, [plain])).toEqual([]);
  });
});
