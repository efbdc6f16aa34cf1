import { createHash } from 'node:crypto';
import { base64url } from 'jose';
import { describe, expect, it } from 'vitest';
import { canonicalTensors } from '../../../src/governance/receipt/canonical-tensors.ts';
import {
  commit,
  deriveSalt,
  matchesCommitment,
  parseSalt,
  saltBytes,
} from '../../../src/governance/receipt/commitment.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';

const tensor = (...values: number[]): Map<string, Tensor> =>
  new Map([['x', { datatype: 'FP32', shape: [values.length], data: Float32Array.from(values) }]]);

const newSalt = () => crypto.getRandomValues(new Uint8Array(saltBytes));

describe('commit()', () => {
  it('is the salted digest of its specification', async () => {
    const salt = newSalt();
    const message = Buffer.concat([
      salt,
      Buffer.from('edgewise.commitment.v1\0inputs\0'),
      await canonicalTensors(tensor(1, 2), new Uint8Array(0)),
    ]);
    expect(await commit(salt, 'inputs', tensor(1, 2))).toBe(
      createHash('sha256').update(message).digest('base64url'),
    );
  });

  it('differs between inputs and outputs, and between salts', async () => {
    const salt = newSalt();
    const set = new Set([
      await commit(salt, 'inputs', tensor(1)),
      await commit(salt, 'outputs', tensor(1)),
      await commit(newSalt(), 'inputs', tensor(1)),
    ]);
    expect(set.size).toBe(3);
  });
});

describe('deriveSalt()', () => {
  it('is the labelled digest of its specification, different for each side and from the secret', () => {
    const secret = newSalt();
    const expected = (side: string) =>
      createHash('sha256')
        .update(Buffer.concat([secret, Buffer.from(`edgewise.salt.${side}`)]))
        .digest('hex');
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
    expect(hex(deriveSalt(secret, 'inputs'))).toBe(expected('inputs'));
    expect(hex(deriveSalt(secret, 'outputs'))).toBe(expected('outputs'));
    expect(new Set([hex(secret), expected('inputs'), expected('outputs')]).size).toBe(3);
  });
});

describe('matchesCommitment()', () => {
  it('is true for the same tensors, salt and side only', async () => {
    const salt = newSalt();
    const commitment = await commit(salt, 'inputs', tensor(1, 2));
    expect(await matchesCommitment(commitment, salt, 'inputs', tensor(1, 2))).toBe(true);
    expect(await matchesCommitment(commitment, salt, 'inputs', tensor(1, 3))).toBe(false);
    expect(await matchesCommitment(commitment, salt, 'outputs', tensor(1, 2))).toBe(false);
    for (let at = 0; at < salt.length; at += 1) {
      const flipped = salt.map((byte, index) => (index === at ? byte ^ 1 : byte));
      expect(await matchesCommitment(commitment, flipped, 'inputs', tensor(1, 2))).toBe(false);
    }
  });

  it('is true for tensors whose data is replaced by a digest', async () => {
    const salt = newSalt();
    const long = new Map<string, Tensor>([
      ['x', { datatype: 'UINT8', shape: [100_000], data: new Uint8Array(100_000) }],
    ]);
    const commitment = await commit(salt, 'outputs', long);
    expect(await matchesCommitment(commitment, salt, 'outputs', long)).toBe(true);
    long.set('x', { datatype: 'UINT8', shape: [100_000], data: new Uint8Array(100_000).fill(1, 99_999) });
    expect(await matchesCommitment(commitment, salt, 'outputs', long)).toBe(false);
  });
});

describe('parseSalt()', () => {
  it('reads 32 bytes in base64url', () => {
    const salt = newSalt();
    expect(parseSalt(base64url.encode(salt))).toEqual(salt);
  });

  it.each(['', 'x', 'A'.repeat(42), 'A'.repeat(44), `${'A'.repeat(42)}B`, `${'A'.repeat(42)}=`])(
    'refuses %j without repeating it',
    (text) => {
      expect(() => parseSalt(text)).toThrowError(/^the salt is malformed; expected 32 bytes in base64url/);
    },
  );
});
