import { parseInferRequest } from '../../../src/protocol/oip/infer-request.ts';
import type { JsonLimits } from '../../../src/protocol/oip/json-text.ts';
import type { InferRequest, ModelSignature } from '../../../src/protocol/oip/types.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';

export interface MessageOptions {
  readonly headerLength?: string;
  readonly model?: ModelSignature;
  readonly limits?: JsonLimits;
}

const noModel: ModelSignature = { inputs: [], maxBatchSize: 0 };

/** Parses JSON text, or any value as JSON, followed by `blocks`; the header is set if there are blocks. */
export function parse(json: unknown, blocks?: readonly number[], options: MessageOptions = {}): InferRequest {
  const text = new TextEncoder().encode(typeof json === 'string' ? json : JSON.stringify(json));
  const body = new Uint8Array(text.byteLength + (blocks?.length ?? 0));
  body.set(text);
  body.set(blocks ?? [], text.byteLength);
  const headerLength = options.headerLength ?? (blocks === undefined ? undefined : String(text.byteLength));
  return parseInferRequest(body, { model: noModel, ...options, headerLength });
}

export interface EntryOptions {
  readonly name?: unknown;
  readonly shape?: unknown;
  readonly datatype?: unknown;
  readonly data?: unknown;
  readonly parameters?: unknown;
}

/** Returns a request with one input `x`; JSON text if `data` is text, so that numbers keep their digits. */
export function request(entry: EntryOptions): string {
  const { data, ...rest } = { name: 'x', ...entry };
  const members = JSON.stringify(rest).slice(1, -1);
  const dataText = typeof data === 'string' ? data : JSON.stringify(data);
  return `{"inputs":[{${members}${data === undefined ? '' : `,"data":${dataText}`}}]}`;
}

/** Parses such a request and returns its input `x`. */
export function input(entry: EntryOptions, blocks?: readonly number[]): Tensor | undefined {
  return parse(request(entry), blocks).inputs.get('x');
}
