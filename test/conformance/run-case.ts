/** Runs one backend case through the real service: publishes it over the admin routes, infers, compares. */
import type { AdminClient } from '../../src/client/admin-client.ts';
import type { InferenceClient } from '../../src/client/inference-client.ts';
import type { Engine } from '../../src/engine/types.ts';
import { toEdgewiseError } from '../../src/errors.ts';
import { decodeModel } from '../../src/repository/onnx/proto.ts';
import { engineText } from '../../src/repository/publish/reference.ts';
import type { PublisherSigningKey } from '../../src/repository/signing/bundle.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { type BackendCase, readModel, readTensors } from './cases.ts';
import { exactly, findDifference, tolerance } from './compare.ts';
import { publishCase } from './publish.ts';

/** The step that failed. */
export type Stage = 'data' | 'publish' | 'infer' | 'compare' | 'json';

export type Outcome =
  | { readonly passed: true; readonly json: boolean }
  | { readonly passed: false; readonly stage: Stage; readonly reason: string };

export interface CaseServices {
  readonly engine: Engine;
  readonly admin: AdminClient;
  readonly signingKey: PublisherSigningKey;
  readonly inference: InferenceClient;
}

export async function runCase(
  backendCase: BackendCase,
  { admin, engine, inference, signingKey }: CaseServices,
): Promise<Outcome> {
  const name = `onnx/${backendCase.name}`;
  let stage: Stage = 'data';
  try {
    const model = readModel(backendCase);
    const { graph = {} } = decodeModel(model);
    const inputs = readTensors(backendCase, 'input', graph);
    const expected = readTensors(backendCase, 'output', graph);
    const tensors = [...inputs, ...expected];
    stage = 'publish';
    await publishCase(model, {
      client: admin,
      signingKey,
      engine,
      name,
      ranks: new Map(tensors.map(([key, { shape }]) => [key, shape.length])),
      tensorBytes: tensors.reduce((sum, [, tensor]) => sum + byteLength(tensor), 0),
    });
    stage = 'infer';
    const binary = await inference.infer({ name }, inputs);
    stage = 'compare';
    const difference = findDifference(expected, binary.outputs, tolerance);
    if (difference !== undefined) {
      return { passed: false, stage, reason: difference };
    }
    stage = 'json';
    const json = tensors.every(([, { datatype }]) => datatype !== 'FP16');
    if (json) {
      const answer = await inference.infer({ name }, inputs, { binary: false });
      const changed = findDifference(binary.outputs, answer.outputs, exactly);
      if (changed !== undefined) {
        return { passed: false, stage, reason: changed };
      }
    }
    return { passed: true, json };
  } catch (error) {
    const failure = toEdgewiseError(error);
    const detail = failure.cause === undefined ? '' : ` (${engineText(failure)})`;
    return { passed: false, stage, reason: `${failure.code}: ${failure.message}${detail}` };
  }
}

function byteLength(tensor: Tensor): number {
  return tensor.datatype === 'BYTES' ? tensor.data.length * 64 : tensor.data.byteLength;
}
