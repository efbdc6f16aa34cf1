/**
 * What `ort-node-process.ts` and its process say to each other. A message is two lengths (32 bits each, little-endian), a
 * header in JSON and a payload of bytes.
 */
import { EdgewiseError, type ErrorCode, isEdgewiseError } from '../errors.ts';
import { tensorBytes, tensorFromBytes } from '../tensor/bytes.ts';
import { elementBytes, type FixedDataType } from '../tensor/datatype.ts';
import { elementCount, type Shape } from '../tensor/shape.ts';
import type { Tensor, TensorSpec } from '../tensor/tensor.ts';
import type { Feeds } from './types.ts';

/** What the process can be asked, by the name of the operation. Sessions have numbers, given by the one who asks. */
export type ProcessRequest =
  | { readonly operation: 'providers' }
  /** Begins a load; the payload is the graph. */
  | {
      readonly operation: 'open';
      readonly session: number;
      readonly weights?: { readonly path: string; readonly byteLength: number } | undefined;
    }
  /** Of the weights, from `at` on; the payload is the piece. */
  | { readonly operation: 'piece'; readonly session: number; readonly at: number }
  /** Ends a load: makes the session. */
  | { readonly operation: 'create'; readonly session: number }
  | {
      readonly operation: 'run';
      readonly session: number;
      readonly feeds: readonly PackedTensor[];
      readonly fetches: readonly string[] | undefined;
    }
  /** Of a session, or of a load that goes no further. */
  | { readonly operation: 'release'; readonly session: number };

/** One `answer` or `failure` for each request, in their order; `usedBytes` as the engine's memory is now. */
export type ProcessReply =
  | { readonly kind: 'answer'; readonly usedBytes: number; readonly answer: ProcessAnswer }
  | { readonly kind: 'failure'; readonly usedBytes: number; readonly error: SentError }
  | { readonly kind: 'skipped'; readonly provider: string; readonly reason: SentError };

export interface ProcessAnswer {
  readonly providers?: readonly string[];
  readonly inputs?: readonly TensorSpec[];
  readonly outputs?: readonly TensorSpec[];
  /** Of a run, in the payload. */
  readonly fetches?: readonly PackedTensor[];
}

/** A tensor's elements are in the payload, those of the datatype BYTES here. */
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

/** Both lengths. */
export const prefixBytes = 8;
const maxPayloadBytes = 2 ** 32 - 1;
/** Every tensor begins at a multiple of it, so that the other side reads it where it is. */
const alignment = 8;

/** The parts of a message in their order, none of them a copy of the payload. */
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

/** Both sides are of one version and write nothing but these messages: the header is what its sender says it is. */
export function parseProcessHeader<H extends ProcessRequest | ProcessReply>(text: Uint8Array): H {
  return JSON.parse(new TextDecoder().decode(text)) as H;
}

/** Tensors as a header lists them, and their payload. */
export function packTensors(tensors: Iterable<readonly [name: string, tensor: Tensor]>): {
  readonly sent: readonly PackedTensor[];
  readonly payload: readonly Uint8Array[];
} {
  const sent: PackedTensor[] = [];
  const payload: Uint8Array[] = [];
  for (const [name, tensor] of tensors) {
    const { shape } = tensor;
    if (tensor.datatype === 'BYTES') {
      sent.push({ name, datatype: 'BYTES', shape, data: tensor.data });
      continue;
    }
    sent.push({ name, datatype: tensor.datatype, shape });
    const bytes = tensorBytes(tensor);
    payload.push(bytes);
    const padding = -bytes.byteLength & (alignment - 1);
    if (padding > 0) payload.push(new Uint8Array(padding));
  }
  return { sent, payload };
}

/** The tensors as views of `payload`, whose owner the caller is. */
export function unpackTensors(sent: readonly PackedTensor[], payload: Uint8Array): Feeds {
  let at = 0;
  return new Map(
    sent.map((tensor): [string, Tensor] => {
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

/** An error field by field: JSON keeps neither its class nor its message. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  /** Of an EdgewiseError. */
  readonly code: ErrorCode | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly cause: SentError | undefined;
}

/** Longer chains of causes are cut: nobody reads them, and one may run in a circle. */
const maxCauses = 8;

export function sentError(error: unknown, causes: number = maxCauses): SentError {
  const { name, message, cause } = error instanceof Error ? error : new Error(String(error));
  const edgewise = isEdgewiseError(error) ? error : undefined;
  return {
    name,
    message,
    code: edgewise?.code,
    retryAfterSeconds: edgewise?.retryAfterSeconds,
    cause: cause === undefined || causes === 0 ? undefined : sentError(cause, causes - 1),
  };
}

export function receivedError({ name, message, code, retryAfterSeconds, cause }: SentError): Error {
  const options = cause === undefined ? {} : { cause: receivedError(cause) };
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
