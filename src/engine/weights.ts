import { EdgewiseError, toEdgewiseError } from '../errors.ts';
import type { ModelSource, WeightSource } from './types.ts';

/** A model for runtimes that cannot wait: all of it in memory. */
export interface WholeModel {
  readonly graph: Uint8Array;
  readonly weights?: {
    /** The `location` under which the graph refers to them. */
    readonly path: string;
    readonly bytes: Uint8Array<ArrayBuffer>;
  };
  /** Where the files stand that the graph names, in place of `weights`: the runtime maps them into memory itself. */
  readonly folder?: string;
}

/** @throws what `gatherWeights` throws. */
export async function readWholeModel({ graph, weights, folder }: ModelSource): Promise<WholeModel> {
  return weights === undefined
    ? { graph, ...(folder !== undefined && { folder }) }
    : { graph, weights: { path: weights.path, bytes: await gatherWeights(weights) } };
}

/**
 * All weights in one array, which is the caller's own.
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
