import { sha256 } from '@noble/hashes/sha2.js';
import { toHex } from '../../bytes.ts';
import { digestOf } from '../../storage/digest.ts';
import type { Digest } from '../../storage/types.ts';
import type { SplitModel } from '../onnx/split.ts';
import type { IncrementalDigest } from './types.ts';

export interface WeightDigests {
  /** Of the file that the pieces make: what the publisher signs. */
  readonly whole: Digest;
  /** Of each piece, in their order. */
  readonly pieces: readonly Digest[];
}

/** Reads the weights once, a piece in memory at a time. */
export async function digestWeights(
  { pieces }: NonNullable<SplitModel['weights']>,
  create: () => IncrementalDigest = () => sha256.create(),
): Promise<WeightDigests> {
  const whole = create();
  const digests: Digest[] = [];
  for (const piece of pieces) {
    const bytes = await piece.read();
    whole.update(bytes);
    digests.push(await digestOf(bytes));
  }
  return { whole: `sha256:${toHex(whole.digest())}`, pieces: digests };
}
