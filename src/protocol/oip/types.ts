/** Requests and answers of one inference (kserve/open-inference-protocol, inference_rest.md, "Inference"). */
import type { Bytes } from '../../bytes.ts';
import type { Tensor, TensorSpec } from '../../tensor/tensor.ts';

/** Scalars in the specification; some clients send objects, so values may be any JSON. */
export type Parameters = Readonly<Record<string, unknown>>;

export interface RequestedOutput {
  readonly name: string;
  /** Whether the answer carries it as a binary block; false unless the output's own `binary_data` is true. */
  readonly binary: boolean;
  /** Number of classes to return (Triton's classification extension); absent for the plain tensor. */
  readonly classification?: number;
}

export interface InferRequest {
  readonly id?: string;
  readonly parameters: Parameters;
  /** In the order of the request. */
  readonly inputs: ReadonlyMap<string, Tensor>;
  /** Absent: all outputs of the model. Never empty. */
  readonly outputs?: readonly RequestedOutput[];
  /** Whether outputs that are not listed are returned in binary. */
  readonly binaryOutput: boolean;
}

export interface InferResponse {
  /** Absent only in answers of servers that follow the specification's own example. */
  readonly modelName?: string;
  readonly modelVersion?: string;
  readonly id?: string;
  readonly parameters: Parameters;
  readonly outputs: ReadonlyMap<string, Tensor>;
}

/** The parts of the model that parsing needs: raw requests take their datatype and shape from it. */
export interface ModelSignature {
  readonly inputs: readonly TensorSpec[];
  /** 0: the first dimension is not a batch. */
  readonly maxBatchSize: number;
}

/** An encoded body with the headers that describe it. */
export interface EncodedMessage {
  readonly body: Bytes;
  readonly contentType: 'application/json' | 'application/octet-stream';
  /** Value of `Inference-Header-Content-Length`; absent if no tensor is binary. */
  readonly headerLength?: string;
}

export const headerLengthName = 'Inference-Header-Content-Length';
