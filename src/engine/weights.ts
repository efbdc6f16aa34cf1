import { EdgewiseError, toEdgewiseError } from '../errors.ts';
import type { WeightSource } from './types.ts';

/**
 * All weights in one array: for runtimes that cannot wait.
 *
 * @throws EdgewiseError that of the source, or `internal` when it gives more or fewer bytes than it says.
 */
export async function gatherWeights(weights: WeightSource): Promise<Uint8Array<ArrayBuffer>> {
  const all = new Uint8Array(weights.byteLength);
  let at = 0;
  try {
    for await (const piece of weights.read(0, weights.byteLength)) {
      all.set(piece, at);
      at += piece.byteLength;
    }
  } catch (cause) {
    throw toEdgewiseError(cause, 'the weights could not be read');
  }
  if (at !== all.byteLength) {
    throw new EdgewiseError('internal', `the weights have ${at} bytes, wanted ${all.byteLength}`);
  }
  return all;
}
