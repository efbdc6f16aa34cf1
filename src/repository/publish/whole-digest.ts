import { digestOf } from '../../storage/digest.ts';
import type { Digest } from '../../storage/types.ts';
import type { SplitModel } from '../onnx/split.ts';

/**
 * Of the file that the pieces make: what the publisher signs. WebCrypto hashes nothing by pieces, so this takes a copy of
 * the weights for a moment: it is for who publishes, who has the whole model in memory anyhow, and for no server.
 */
export async function wholeDigest({
  byteLength,
  pieces,
}: NonNullable<SplitModel['weights']>): Promise<Digest> {
  const whole = new Uint8Array(byteLength);
  for (const { offset, bytes } of pieces) whole.set(bytes, offset);
  return digestOf(whole);
}
