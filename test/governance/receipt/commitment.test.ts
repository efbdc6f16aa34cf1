import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { canonicalTensors } from '../../../src/governance/receipt/canonical-tensors.ts';
import {
  commit,
  commitmentKey,
  newSalt,
  opens,
  parseSalt,
  saltText,
} from '../../../src/governance/receipt/commitment.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';

const tensor = (...values: number[]): Map<string, Tensor> =>
  new Map([['x', { datatype: 'FP32', shape: [values.length], data: Float32Array.from(values) }]]);

describe('commit()', () => {
  it('is the HMAC that its description says', async () => {
    const salt = newSalt();
    const message = Buffer.concat([
      Buffer.from('edgewise.commitment.v1\0inputs\0'),
      await canonicalTensors(tensor(1, 2), new Uint8Array(0)),
    ]);
    expect(await commit(await commitmentKey(salt), 'inputs', tensor(1, 2))).toBe(
      createHmac('sha256', salt).update(message).digest('base64url'),
    );
  });

  it('differs between inputs and outputs, and under another salt', async () => {
    const key = await commitmentKey(newSalt());
    const other = await commitmentKey(newSalt());
    const set = new Set([
      await commit(key, 'inputs', tensor(1)),
      await commit(key, 'outputs', tensor(1)),
      await commit(other, 'inputs', tensor(1)),
    ]);
    expect(set.size).toBe(3);
  });
});

describe('opens()', () => {
  it('holds for the same tensors, and for nothing else', async () => {
    const salt = newSalt();
    const commitment = await commit(await commitmentKey(salt), 'inputs', tensor(1, 2));
    expect(await opens(commitment, salt, 'inputs', tensor(1, 2))).toBe(true);
    expect(await opens(commitment, salt, 'inputs', tensor(1, 3))).toBe(false);
    expect(await opens(commitment, salt, 'outputs', tensor(1, 2))).toBe(false);
    for (let at = 0; at < salt.length; at += 1) {
      const flipped = salt.map((byte, index) => (index === at ? byte ^ 1 : byte));
      expect(await opens(commitment, flipped, 'inputs', tensor(1, 2))).toBe(false);
    }
  });

  it('holds for tensors whose data stands as a digest', async () => {
    const salt = newSalt();
    const long = new Map<string, Tensor>([
      ['x', { datatype: 'UINT8', shape: [100_000], data: new Uint8Array(100_000) }],
    ]);
    const commitment = await commit(await commitmentKey(salt), 'outputs', long);
    expect(await opens(commitment, salt, 'outputs', long)).toBe(true);
    long.set('x', { datatype: 'UINT8', shape: [100_000], data: new Uint8Array(100_000).fill(1, 99_999) });
    expect(await opens(commitment, salt, 'outputs', long)).toBe(false);
  });
});

describe('parseSalt()', () => {
  it('reads what saltText() writes', () => {
    const salt = newSalt();
    expect(parseSalt(saltText(salt))).toEqual(salt);
  });

  it.each(['', 'x', 'A'.repeat(42), 'A'.repeat(44), `${'A'.repeat(42)}B`, `${'A'.repeat(42)}=`])(
    'refuses %j without repeating it',
    (text) => {
      expect(() => parseSalt(text)).toThrowError(/^the salt is not usable, wanted 32 bytes in base64url/);
    },
  );
});
