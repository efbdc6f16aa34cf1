/** The server side of answers to `POST /v2/models/{name}/infer`: encodes tensors into a body. */
import type { Tensor } from '../../tensor/tensor.ts';
import { classify } from './classification.ts';
import { encodeMessage, type MessageTensor } from './encode-message.ts';
import { invalid, quote } from './fail.ts';
import type { EncodedMessage, Parameters, RequestedOutput } from './types.ts';

export interface EncodeInferResponseOptions {
  readonly modelName: string;
  readonly modelVersion: string;
  /** The request's id, unchanged. */
  readonly id?: string | undefined;
  readonly parameters?: Parameters;
  readonly outputs: ReadonlyMap<string, Tensor>;
  /** The outputs that the request lists; absent: all outputs in their own order. */
  readonly requested?: readonly RequestedOutput[] | undefined;
  /** Whether outputs are returned in binary if `requested` is absent. */
  readonly binaryOutput: boolean;
  /** Output name → labels in class order, for classification. */
  readonly labels?: Readonly<Record<string, readonly string[]>>;
  /** Whether the first dimension of every output is a batch (maxBatchSize above 0), and so never the class axis. */
  readonly batched: boolean;
  /** Limit of the whole body. Default: unlimited. */
  readonly maxBytes?: number | undefined;
}

/**
 * @throws EdgewiseError `invalid_request` for a requested output that does not exist or cannot be classified;
 * `unsupported_datatype` for FP16 as JSON; `too_large` beyond `maxBytes`.
 */
export function encodeInferResponse(options: EncodeInferResponseOptions): EncodedMessage {
  const id = options.id === undefined ? '' : `"id":${JSON.stringify(options.id)},`;
  const parameters =
    options.parameters === undefined ? '' : `"parameters":${JSON.stringify(options.parameters)},`;
  const head = `"model_name":${JSON.stringify(options.modelName)},"model_version":${JSON.stringify(options.modelVersion)},${id}${parameters}`;
  return encodeMessage({
    head,
    key: 'outputs',
    tensors: selectOutputs(options),
    tail: '',
    maxBytes: options.maxBytes,
  });
}

function selectOutputs(options: EncodeInferResponseOptions): readonly MessageTensor[] {
  const { outputs, requested, binaryOutput } = options;
  if (requested === undefined) {
    return Array.from(outputs, ([name, tensor]) => ({ name, tensor, binary: binaryOutput }));
  }
  return requested.map(({ name, binary, classification }) => {
    const tensor = outputs.get(name);
    if (tensor === undefined) throw invalid(`the model has no output ${quote(name)}`);
    if (classification === undefined) return { name, tensor, binary };
    const labels =
      options.labels !== undefined && Object.hasOwn(options.labels, name) ? options.labels[name] : [];
    return {
      name,
      tensor: classify(name, tensor, {
        classes: classification,
        labels: labels ?? [],
        batched: options.batched,
      }),
      binary,
    };
  });
}
