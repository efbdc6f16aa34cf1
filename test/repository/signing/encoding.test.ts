import { generateKeyPairSync, verify as nodeVerify } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBase64, encodeBase64 } from '../../../src/bytes.ts';
import { generatePublisherKey, readSigningKey } from '../../../src/cli/signing-key.ts';
import { curveNames, curves, rawSignature } from '../../../src/repository/signing/curve.ts';
import { readDer, writeDer } from '../../../src/repository/signing/der.ts';
import { parsePublicKey, publicKeyPem } from '../../../src/repository/signing/public-key.ts';
import { trustPublishers } from '../../../src/repository/signing/publishers.ts';
import { derSignature } from '../../support/web-signing-key.ts';
import { bytesOf } from '../fixtures.ts';

const bytes = fc.uint8Array({ maxLength: 400 });
const nodeCurves = { 'P-256': 'prime256v1', 'P-384': 'secp384r1', 'P-521': 'secp521r1' } as const;

describe('decodeBase64()', () => {
  it('returns the bytes that encodeBase64() encoded, and those for no other text', () => {
    fc.assert(
      fc.property(
        bytes,
        fc.nat(),
        fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
        (value, at, character) => {
          const text = encodeBase64(value);
          expect(text).toBe(Buffer.from(value).toString('base64'));
          expect(decodeBase64(text)).toEqual(new Uint8Array(value));
          const changed = [...text].toSpliced(at % (text.length + 1), 1, character).join('');
          if (changed !== text) expect(decodeBase64(changed)).not.toEqual(new Uint8Array(value));
        },
      ),
    );
  });

  it.each(['Zg', 'Zh==', 'Zg=', 'Z g==', 'Zg==\n', '=', 'Zg==Zg==', '_-8='])(
    'returns undefined for %j',
    (text) => {
      expect(decodeBase64(text)).toBeUndefined();
    },
  );
});

describe('readDer()', () => {
  it('reads what writeDer() wrote, only in its shortest form', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (content) => {
        const written = writeDer(4, content);
        expect(readDer(written)).toEqual({ tag: 4, content: new Uint8Array(content), end: written.length });
        expect(readDer(written.subarray(0, -1))).toBeUndefined();
      }),
    );
    expect(readDer(Uint8Array.of(4, 0x81, 1, 7))).toBeUndefined();
    expect(readDer(Uint8Array.of(4, 0x82, 0, 1, 7))).toBeUndefined();
    expect(readDer(Uint8Array.of(4, 0x80, 7, 0, 0))).toBeUndefined();
  });
});

describe.each(curveNames)('a signature on %s', (name) => {
  const curve = curves[name];
  const half = fc
    .uint8Array({ minLength: curve.bytes, maxLength: curve.bytes })
    .filter((digits) => digits.some((digit) => digit !== 0));

  it('has one DER form, which is read back', () => {
    fc.assert(
      fc.property(half, half, (r, s) => {
        const raw = Uint8Array.from([...r, ...s]);
        const der = derSignature(raw);
        expect(rawSignature(der, curve)).toEqual(raw);
        expect(rawSignature(Uint8Array.from([...der, 0]), curve)).toBeUndefined();
      }),
    );
    const number = (...digits: number[]) => writeDer(2, Uint8Array.from(digits));
    const pair = (...numbers: Uint8Array[]) => rawSignature(writeDer(0x30, ...numbers), curve);
    expect(pair(number(1), number(2))).toBeDefined();
    expect(pair(number(0, 1), number(2))).toBeUndefined();
    expect(pair(number(0x80), number(2))).toBeUndefined();
    expect(pair(number(0), number(2))).toBeUndefined();
    expect(pair(number(), number(2))).toBeUndefined();
    expect(pair(number(1))).toBeUndefined();
    expect(pair(number(1), number(2), number(3))).toBeUndefined();
    expect(pair(number(...Array.from({ length: curve.bytes + 1 }, () => 1)), number(1))).toBeUndefined();
  });
});

describe.each(curveNames)('a key on %s', (name) => {
  const pair = generateKeyPairSync('ec', { namedCurve: nodeCurves[name] });
  const publicPem = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const message = bytesOf('a message');

  it.each(['pkcs8', 'sec1'] as const)('is read as OpenSSL writes it in %s, and signs', async (type) => {
    const key = await readSigningKey(pair.privateKey.export({ type, format: 'pem' }).toString());
    expect(publicKeyPem(key.publicKey)).toBe(publicPem);
    const signature = await key.sign(message);
    expect(nodeVerify(curves[name].hash, message, pair.publicKey, signature)).toBe(true);
  });

  it('is read from PEM that begins with its parameters', async () => {
    const sec1 = pair.privateKey.export({ type: 'sec1', format: 'pem' }).toString();
    const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
    const { publicKey } = await readSigningKey(parameters + sec1);
    expect(publicKeyPem(publicKey)).toBe(publicPem);
  });

  it('that generatePublisherKey() returns is read and trusted', async () => {
    const made = generatePublisherKey(name);
    const read = await readSigningKey(made.privatePem);
    expect(read.publicKey).toEqual(made.publicKey);
    expect(await trustPublishers([{ name, key: made.publicKey }]).find(read.fingerprint)).toMatchObject({
      name,
    });
  });

  it('is not read if it is encrypted, damaged or cut off', async () => {
    const encrypted = pair.privateKey
      .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'p' })
      .toString();
    await expect(readSigningKey(encrypted)).rejects.toThrow(/encrypted/);
    const plain = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    for (const text of ['', plain.slice(100), publicPem, plain.replaceAll('A', 'B')]) {
      await expect(readSigningKey(text)).rejects.toMatchObject({ code: 'invalid_request' });
    }
    for (const text of [
      '',
      plain,
      publicPem.slice(30),
      publicPem.replaceAll('M', ''),
      publicPem + publicPem,
    ]) {
      expect(() => parsePublicKey(text)).toThrow(/public key is not usable/);
    }
  });
});

it('parsePublicKey() rejects other kinds of keys', () => {
  for (const { publicKey } of [
    generateKeyPairSync('ed25519'),
    generateKeyPairSync('rsa', { modulusLength: 1024 }),
    generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
  ]) {
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    expect(() => parsePublicKey(pem)).toThrow(/expected one of P-256, P-384, P-521/);
  }
});
