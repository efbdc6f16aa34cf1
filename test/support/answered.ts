/** Answers over HTTP, as a caller keeps them to check them later. */
import type { Feeds, Fetches } from '../../src/engine/types.ts';
import { encodeInferRequest, parseInferResponse } from '../../src/protocol/oip/infer-client.ts';
import { headerLengthName } from '../../src/protocol/oip/types.ts';

export interface KeptAnswer {
  readonly inputs: Feeds;
  readonly outputs: Fetches;
  /** Compact JWS. */
  readonly receipt: string;
  readonly salt: string;
  readonly tier: string | null;
}

export interface AskOptions {
  readonly binary?: boolean;
  readonly tier?: 'edge' | 'origin';
}

/** @throws Error if the answer is not 200. */
export async function ask(
  url: string,
  model: string,
  inputs: Feeds,
  { binary = true, tier }: AskOptions = {},
): Promise<KeptAnswer> {
  const message = encodeInferRequest({ inputs, binaryInput: binary, binaryOutput: binary });
  const answer = await fetch(`${url}/v2/models/${model}/infer`, {
    method: 'POST',
    headers: {
      'Content-Type': message.contentType,
      ...(message.headerLength === undefined ? {} : { [headerLengthName]: message.headerLength }),
      ...(tier === undefined ? {} : { 'Edgewise-Tier': tier }),
    },
    body: message.body,
  });
  const body = new Uint8Array(await answer.arrayBuffer());
  if (!answer.ok) throw new Error(`${model}: ${answer.status} ${new TextDecoder().decode(body)}`);
  const { headers } = answer;
  return {
    inputs,
    outputs: parseInferResponse(body, { headerLength: headers.get(headerLengthName) ?? undefined }).outputs,
    receipt: headers.get('Edgewise-Receipt') ?? '',
    salt: headers.get('Edgewise-Receipt-Salt') ?? '',
    tier: headers.get('Edgewise-Tier'),
  };
}

/** Returns body and headers for `POST /v1/disputes`, with inputs and outputs in binary. */
export function disputeBody({ inputs, outputs, receipt, salt }: KeptAnswer): {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly headers: Readonly<Record<string, string>>;
} {
  const [sent, answered] = [inputs, outputs].map((tensors) => {
    const { body, headerLength } = encodeInferRequest({
      inputs: tensors,
      binaryInput: true,
      binaryOutput: false,
    });
    const jsonBytes = Number(headerLength);
    const list: unknown = JSON.parse(new TextDecoder().decode(body.subarray(0, jsonBytes)));
    return { tensors: Reflect.get(Object(list), 'inputs'), blocks: body.subarray(jsonBytes) };
  });
  const json = new TextEncoder().encode(
    JSON.stringify({ receipt, salt, inputs: sent?.tensors, outputs: answered?.tensors }),
  );
  return {
    body: new Uint8Array([...json, ...(sent?.blocks ?? []), ...(answered?.blocks ?? [])]),
    headers: { [headerLengthName]: String(json.byteLength) },
  };
}
