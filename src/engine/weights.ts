import type { Bytes } from '../bytes.ts';
import { EdgewiseError, toEdgewiseError } from '../errors.ts';
import type { ModelSource, WeightSource } from './types.ts';

/** A model for runtimes that cannot wait for weights: all of it is in memory. */
export interface WholeModel {
  readonly graph: Uint8Array;
  readonly weights?: {
    /** The `location` under which the graph refers to the weights. */
    readonly path: string;
    readonly bytes: Bytes;
  };
  /** Instead of `weights`: the folder of the graph's external data, which the runtime maps into memory. */
  readonly folder?: string;
}

/** Throws what `gatherWeights` throws. */
export async function readWholeModel({ graph, weights, folder }: ModelSource): Promise<WholeModel> {
  return weights === undefined
    ? { graph, ...(folder !== undefined && { folder }) }
    : { graph, weights: { path: weights.path, bytes: await gatherWeights(weights) } };
}

/**
 * Reads all weights into one array.
 *
 * @throws EdgewiseError the source's own; `internal` if the source yields more or fewer bytes than it declares.
 */
export async function gatherWeights(weights: WeightSource): Promise<Bytes> {
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
    throw new EdgewiseError('internal', `the weights have ${at} bytes; expected ${all.byteLength}`);
  }
  return all;
}
