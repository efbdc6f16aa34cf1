/**
 * The protocol between `ort-node-process.ts` and the process that it starts. A message is two lengths (32 bits each,
 * little-endian), a header in JSON and a payload of bytes.
 */
import { EdgewiseError, type ErrorCode, isEdgewiseError } from '../errors.ts';
import { tensorBytes, tensorFromBytes } from '../tensor/bytes.ts';
import { elementBytes, type FixedDataType } from '../tensor/datatype.ts';
import { elementCount, type Shape } from '../tensor/shape.ts';
import type { NamedTensors, Tensor, TensorSpec } from '../tensor/tensor.ts';

/** A request to the process. The parent numbers the sessions. */
export type ProcessRequest =
  | { readonly operation: 'providers' }
  /** Starts a load; the payload is the graph. */
  | {
      readonly operation: 'open';
      readonly session: number;
      readonly weights?: { readonly path: string; readonly byteLength: number } | undefined;
    }
  /** Adds weights from offset `at` on; the payload is the piece. */
  | { readonly operation: 'piece'; readonly session: number; readonly at: number }
  /** Ends a load: creates the session. */
  | { readonly operation: 'create'; readonly session: number }
  | {
      readonly operation: 'run';
      readonly session: number;
      readonly feeds: readonly PackedTensor[];
      readonly fetches: readonly string[] | undefined;
    }
  /** Releases a session, or abandons a load. */
  | { readonly operation: 'release'; readonly session: number };

/** Each request gets one `answer` or `failure`, in order. `usedBytes` is the engine's current memory. */
export type ProcessReply =
  | { readonly kind: 'answer'; readonly usedBytes: number; readonly answer: ProcessAnswer }
  | { readonly kind: 'failure'; readonly usedBytes: number; readonly error: PackedError }
  | { readonly kind: 'skipped'; readonly provider: string; readonly reason: PackedError };

export interface ProcessAnswer {
  readonly providers?: readonly string[];
  readonly inputs?: readonly TensorSpec[];
  readonly outputs?: readonly TensorSpec[];
  /** Outputs of a run; their elements are in the payload. */
  readonly fetches?: readonly PackedTensor[];
}

/** A tensor as a header lists it. Elements are in the payload, except those of BYTES tensors. */
export type PackedTensor =
  | { readonly name: string; readonly datatype: FixedDataType; readonly shape: Shape }
  | {
      readonly name: string;
      readonly datatype: 'BYTES';
      readonly shape: Shape;
      readonly data: readonly string[];
    };

export interface ProcessMessage<H> {
  readonly header: H;
  readonly payload: readonly Uint8Array[];
}

/** Bytes of the two lengths. */
export const prefixBytes = 8;
const maxPayloadBytes = 2 ** 32 - 1;
/** Every tensor starts at a multiple of this, so that the receiver can read it in place. */
const alignment = 8;

/**
 * Returns the message as consecutive parts, without copying the payload.
 *
 * @throws EdgewiseError `no_capacity` for a payload of 4 GiB or more.
 */
export function encodeProcessMessage({
  header,
  payload,
}: ProcessMessage<ProcessRequest | ProcessReply>): readonly Uint8Array[] {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const payloadBytes = payload.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (payloadBytes > maxPayloadBytes) {
    throw new EdgewiseError(
      'no_capacity',
      `the tensors have ${payloadBytes} bytes; expected at most ${maxPayloadBytes} in one run`,
    );
  }
  const head = new Uint8Array(prefixBytes + text.byteLength);
  const view = new DataView(head.buffer);
  view.setUint32(0, text.byteLength, true);
  view.setUint32(4, payloadBytes, true);
  head.set(text, prefixBytes);
  return [head, ...payload];
}

export function readPrefix(prefix: Uint8Array): {
  readonly headerBytes: number;
  readonly payloadBytes: number;
} {
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefixBytes);
  return { headerBytes: view.getUint32(0, true), payloadBytes: view.getUint32(4, true) };
}

/** Parses a header without validation: both processes run the same version and write only these messages. */
export function parseProcessHeader<H extends ProcessRequest | ProcessReply>(text: Uint8Array): H {
  return JSON.parse(new TextDecoder().decode(text)) as H;
}

/** Returns the tensors as a header lists them, and their payload. */
export function packTensors(named: Iterable<readonly [name: string, tensor: Tensor]>): {
  readonly tensors: readonly PackedTensor[];
  readonly payload: readonly Uint8Array[];
} {
  const tensors: PackedTensor[] = [];
  const payload: Uint8Array[] = [];
  for (const [name, tensor] of named) {
    const { shape } = tensor;
    if (tensor.datatype === 'BYTES') {
      tensors.push({ name, datatype: 'BYTES', shape, data: tensor.data });
      continue;
    }
    tensors.push({ name, datatype: tensor.datatype, shape });
    const bytes = tensorBytes(tensor);
    payload.push(bytes);
    const padding = -bytes.byteLength & (alignment - 1);
    if (padding > 0) payload.push(new Uint8Array(padding));
  }
  return { tensors, payload };
}

/** Returns the tensors as views of `payload`, which the caller owns. */
export function unpackTensors(tensors: readonly PackedTensor[], payload: Uint8Array): NamedTensors {
  let at = 0;
  return new Map(
    tensors.map((tensor): [string, Tensor] => {
      if (tensor.datatype === 'BYTES') {
        return [tensor.name, { datatype: 'BYTES', shape: tensor.shape, data: tensor.data }];
      }
      const byteLength = elementCount(tensor.shape) * elementBytes(tensor.datatype);
      const bytes = payload.subarray(at, at + byteLength);
      at += byteLength + (-byteLength & (alignment - 1));
      return [tensor.name, tensorFromBytes(tensor.datatype, tensor.shape, bytes)];
    }),
  );
}

/** An error's fields: JSON keeps neither the class nor the message of an Error. */
export interface PackedError {
  readonly name: string;
  readonly message: string;
  readonly code: ErrorCode | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly cause: PackedError | undefined;
}

/** Limits the chain of causes, which may be circular. */
const maxCauses = 8;

export function packError(error: unknown, causes: number = maxCauses): PackedError {
  const { name, message, cause } = error instanceof Error ? error : new Error(String(error));
  const edgewise = isEdgewiseError(error) ? error : undefined;
  return {
    name,
    message,
    code: edgewise?.code,
    retryAfterSeconds: edgewise?.retryAfterSeconds,
    cause: cause === undefined || causes === 0 ? undefined : packError(cause, causes - 1),
  };
}

export function unpackError({ name, message, code, retryAfterSeconds, cause }: PackedError): Error {
  const options = cause === undefined ? {} : { cause: unpackError(cause) };
  if (code !== undefined) {
    return new EdgewiseError(
      code,
      message,
      retryAfterSeconds === undefined ? options : { ...options, retryAfterSeconds },
    );
  }
  const error = new Error(message, options);
  error.name = name;
  return error;
}
