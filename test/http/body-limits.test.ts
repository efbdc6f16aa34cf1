/** One rule for all sizes: what fits is read here, what does not goes to an origin that may take it, else it is refused. */
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { headerLengthName } from '../../src/protocol/oip/types.ts';
import type { Endpoint } from '../../src/routing/types.ts';
import { endpointAt } from '../routing/servers.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { bearer, callerKey, publishTiny, type TestService, testService } from '../support/services.ts';

const mebibyte = 1024 * 1024;
const variables = {
  EDGEWISE_MAX_BODY_MIB: '2',
  EDGEWISE_MAX_JSON_MIB: '1',
  EDGEWISE_MAX_STREAMED_MIB: '4',
  EDGEWISE_MAX_REPLAY_MIB: '2',
};
const limits = { json: mebibyte, body: 2 * mebibyte, streamed: 4 * mebibyte };

const signature = {
  inputs: [{ name: 'x', datatype: 'FP32' as const, shape: [-1] }],
  outputs: [{ name: 'y', datatype: 'FP32' as const, shape: [-1] }],
};
const graph = fakeGraph({ op: 'identity', ...signature, sessionBytes: 65_536 });

interface Sent {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly headers: Readonly<Record<string, string>>;
}

type Form = (bytes: number) => Sent;

/** `text` and as many spaces as make `bytes` of it. */
function padded(text: string, bytes: number): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(bytes).fill(0x20);
  new TextEncoder().encodeInto(text, body);
  return body;
}

const input = { name: 'x', datatype: 'FP32', shape: [2] };
const jsonText = JSON.stringify({ inputs: [{ ...input, data: [1, 2] }] });

/** A request in JSON of `bytes` bytes. */
const json: Form = (bytes) => ({
  body: padded(jsonText, bytes),
  headers: { 'Content-Length': String(bytes) },
});

const undeclared =
  (form: Form): Form =>
  (bytes) => {
    const { body, headers } = form(bytes);
    const { 'Content-Length': _, ...rest } = headers;
    return { body, headers: rest };
  };

/** `bytes` counts what is inflated. */
const gzipped =
  (form: Form): Form =>
  (bytes) => {
    const { body, headers } = form(bytes);
    const compressed = new Uint8Array(gzipSync(body));
    return {
      body: compressed,
      headers: {
        ...headers,
        'Content-Encoding': 'gzip',
        ...(headers['Content-Length'] === undefined
          ? {}
          : { 'Content-Length': String(compressed.byteLength) }),
      },
    };
  };

/** A request with binary tensors whose JSON part takes what its tensor leaves of `bytes`. */
const binary: Form = (bytes) => {
  const size = (bytes - 400) & ~3;
  const entry = { ...input, shape: [size / 4], parameters: { binary_data_size: size } };
  const text = JSON.stringify({
    inputs: [entry],
    outputs: [{ name: 'y', parameters: { binary_data: true } }],
  });
  const body = new Uint8Array(bytes);
  body.set(padded(text, bytes - size));
  return {
    body,
    headers: { 'Content-Length': String(bytes), [headerLengthName]: String(bytes - size) },
  };
};

/** A request with a binary tensor of 8 bytes, the rest of it is JSON. */
const binaryWithMuchJson: Form = (bytes) => {
  const entry = { ...input, parameters: { binary_data_size: 8 } };
  const jsonBytes = bytes - 8;
  const body = new Uint8Array(bytes);
  body.set(padded(JSON.stringify({ inputs: [entry] }), jsonBytes));
  return { body, headers: { 'Content-Length': String(bytes), [headerLengthName]: String(jsonBytes) } };
};

let origin: TestService;
let withOrigin: TestService;
let alone: TestService;

async function edge(endpoints: readonly Endpoint[], model: object = {}): Promise<TestService> {
  const service = await testService({ engine: createFakeEngine(), variables, endpoints });
  await publishTiny(service, graph, { name: 'echo', ...signature, ...model });
  return service;
}

function originEndpoint(): Endpoint {
  const made = endpointAt('http://origin.test', { binary: true });
  return {
    ...made,
    headers: bearer(callerKey),
    fetch: (url, init) => origin.fetch(new URL(url).pathname, init),
  };
}

beforeAll(async () => {
  origin = await testService({ tier: 'origin', engine: createFakeEngine() });
  await publishTiny(origin, graph, { name: 'echo', ...signature });
  withOrigin = await edge([originEndpoint()]);
  alone = await edge([]);
});

async function outcome(service: TestService, { body, headers }: Sent): Promise<string> {
  const answer = await service.fetch('/v2/models/echo/infer', { method: 'POST', body, headers });
  await answer.arrayBuffer();
  return `${answer.status} ${answer.headers.get('Edgewise-Tier') ?? answer.headers.get('Edgewise-Error')}`;
}

const forms: [name: string, form: Form, fits: number][] = [
  ['JSON with a length', json, limits.json],
  ['JSON without a length', undeclared(json), limits.json],
  ['gzip of JSON with a length', gzipped(json), limits.json],
  ['gzip of JSON without a length', undeclared(gzipped(json)), limits.json],
  ['binary tensors with a length', binary, limits.body],
  ['binary tensors without a length', undeclared(binary), limits.body],
  ['gzip of binary tensors', gzipped(binary), limits.body],
  ['a large JSON part before a binary tensor', binaryWithMuchJson, limits.json + 8],
];

describe.each(forms)('%s', (_, form, fits) => {
  it('is read here up to its limit, and sent to an origin beyond it', async () => {
    expect(await outcome(withOrigin, form(fits - 1))).toBe('200 edge');
    expect(await outcome(withOrigin, form(fits))).toBe('200 edge');
    expect(await outcome(withOrigin, form(fits + 1))).toBe('200 origin');
  });

  it('is refused beyond its limit if there is no origin', async () => {
    expect(await outcome(alone, form(fits - 1))).toBe('200 edge');
    expect(await outcome(alone, form(fits))).toBe('200 edge');
    expect(await outcome(alone, form(fits + 1))).toBe('413 too_large');
  });
});

describe.each([
  ['JSON with a length', json],
  ['JSON without a length', undeclared(json)],
  ['binary tensors with a length', binary],
  ['binary tensors without a length', undeclared(binary)],
] as [string, Form][])('%s that goes to an origin', (_, form) => {
  it('is refused beyond the limit for streams', async () => {
    expect(await outcome(withOrigin, form(limits.streamed - 1))).toBe('200 origin');
    expect(await outcome(withOrigin, form(limits.streamed))).toBe('200 origin');
    expect(await outcome(withOrigin, form(limits.streamed + 1))).toBe('413 too_large');
    expect(await outcome(withOrigin, form(limits.streamed + mebibyte))).toBe('413 too_large');
  });
});

describe('a body that is too large', () => {
  async function message(service: TestService, { body, headers }: Sent): Promise<string> {
    const answer = await service.fetch('/v2/models/echo/infer', { method: 'POST', body, headers });
    expect(answer.status).toBe(413);
    return answer.text();
  }

  it('is refused with its size, the limit, its key, and the hint that binary tensors may be larger', async () => {
    expect(await message(alone, json(limits.json + 1))).toContain(
      'the body has 1048577 bytes, at most 1048576 bytes of JSON are accepted (EDGEWISE_MAX_JSON_MIB): this server has no origin that takes larger bodies; send the tensors in binary (Inference-Header-Content-Length), of which 2097152 bytes are accepted, or send less at once: fewer rows, a smaller picture',
    );
  });

  it('is refused with the body limit if it is binary, and with the JSON limit if its JSON part is too large', async () => {
    expect(await message(alone, binary(limits.body + 1))).toContain(
      'the body has 2097153 bytes, at most 2097152 bytes are accepted (EDGEWISE_MAX_BODY_MIB)',
    );
    expect(await message(alone, binaryWithMuchJson(limits.json + 9))).toContain(
      'the JSON part of the body has 1048577 bytes, at most 1048576 bytes of JSON are accepted',
    );
  });

  it('is refused with the limit for streams and the hint to use gzip if it is too large for an origin', async () => {
    const text = await message(withOrigin, json(limits.streamed + 1));
    expect(text).toContain('at most 4194304 bytes are accepted (EDGEWISE_MAX_STREAMED_MIB)');
    expect(text).toContain('compress the body (Content-Encoding: gzip)');
  });

  it('is refused with the reason that the model is for the edge only, or that the request asks for the edge', async () => {
    const pinned = await edge([originEndpoint()], { tier: 'edge' });
    expect(await message(pinned, json(limits.json + 1))).toContain(
      'the model is published for the edge only',
    );
    const { body, headers } = json(limits.json + 1);
    const wished = { body, headers: { ...headers, 'Edgewise-Tier': 'edge' } };
    expect(await message(withOrigin, wished)).toContain('Edgewise-Tier asks for the edge');
  });

  it('is not read if its length is declared', async () => {
    let pulled = 0;
    const stream = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          pulled += 1;
          controller.enqueue(new Uint8Array(1024));
        },
      },
      { highWaterMark: 0 },
    );
    const answer = await alone.fetch('/v2/models/echo/infer', {
      method: 'POST',
      body: stream,
      headers: { 'Content-Length': String(limits.json + 1) },
      duplex: 'half',
    });
    expect(answer.status).toBe(413);
    expect(pulled).toBe(0);
  });

  it('with a header length beyond the body is invalid, not too large', async () => {
    const { body } = json(300);
    const headers = { 'Content-Length': '300', [headerLengthName]: String(limits.json + 1) };
    expect(await outcome(withOrigin, { body, headers })).toBe('400 invalid_request');
  });
});
