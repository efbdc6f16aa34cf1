import { EdgewiseError } from '../errors.ts';
import type { WeightSource } from './types.ts';

/** All weights in one array: for runtimes that cannot wait. */
export async function gatherWeights(weights: WeightSource): Promise<Uint8Array<ArrayBuffer>> {
  const all = new Uint8Array(weights.byteLength);
  let at = 0;
  for await (const piece of weights.read(0, weights.byteLength)) {
    if (at + piece.byteLength > all.byteLength) {
      throw new EdgewiseError('internal', `the weights have more than ${all.byteLength} bytes`);
    }
    all.set(piece, at);
    at += piece.byteLength;
  }
  if (at !== all.byteLength) {
    throw new EdgewiseError('internal', `the weights have ${at} bytes, wanted ${all.byteLength}`);
  }
  return all;
}
