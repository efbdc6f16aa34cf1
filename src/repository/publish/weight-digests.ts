import { sha256 } from '@noble/hashes/sha2.js';
import { toHex } from '../../bytes.ts';
import { digestOf } from '../../storage/digest.ts';
import type { Digest } from '../../storage/types.ts';
import type { SplitModel } from '../onnx/split.ts';
import type { IncrementalDigest, PackageBlob } from './types.ts';

export interface WeightChunkBlob extends PackageBlob {
  /** First byte in the weights file. */
  readonly offset: number;
}

export interface WeightDigests {
  /** Digest of the file that the chunks make up: what the publisher signs. */
  readonly whole: Digest;
  /** In the order of the file. */
  readonly chunks: readonly WeightChunkBlob[];
}

/** Reads the weights once, one chunk in memory at a time. */
export async function digestWeights(
  { pieces }: NonNullable<SplitModel['weights']>,
  create: () => IncrementalDigest = () => sha256.create(),
): Promise<WeightDigests> {
  const whole = create();
  const chunks: WeightChunkBlob[] = [];
  for (const piece of pieces) {
    const bytes = await piece.read();
    const { offset, byteLength } = piece;
    whole.update(bytes);
    chunks.push({ digest: await digestOf(bytes), offset, byteLength, read: () => piece.read() });
  }
  return { whole: `sha256:${toHex(whole.digest())}`, chunks };
}
