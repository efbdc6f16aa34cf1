/** The worker rejects requests and models that are invalid, too large, too deep or cut off, and continues after each. */
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DevServer } from '../../scripts/dev-server.ts';
import { readSigningKey } from '../../src/cli/signing-key.ts';
import { type AdminClient, createAdminClient } from '../../src/client/admin-client.ts';
import { encodeManifest } from '../../src/repository/documents.ts';
import { signModel } from '../../src/repository/signing/model-signature.ts';
import { startService } from '../support/dev-service.ts';
import { constantModel, fillModel, identityModel, reshapeModel } from '../support/onnx-models.ts';
import { licenceBytes, licenceDigest } from '../support/terms.ts';
import { type TinyModel, tinyManifest } from '../support/tiny-model.ts';

let server: DevServer;
let admin: AdminClient;

async function publish(graph: Uint8Array, model: TinyModel): Promise<void> {
  const bytes = new Uint8Array(graph);
  const manifest = await tinyManifest(bytes, model);
  await admin.putBlob(manifest.graph.digest, bytes);
  await admin.putBlob(licenceDigest, licenceBytes);
  const { digest: manifestDigest } = await encodeManifest(manifest);
  const key = await readSigningKey(server.publisherKey);
  await admin.publishVersion(manifest, await signModel({ manifest, manifestDigest }, key));
}

beforeAll(async () => {
  server = await startService({
    vars: { EDGEWISE_MAX_BODY_MIB: '8', EDGEWISE_MAX_JSON_MIB: '4', EDGEWISE_MAX_ANSWER_MIB: '4' },
  });
  admin = createAdminClient({ url: server.url, key: server.adminKey });
  await publish(identityModel('FP32', ['n', 2]).graph, {
    name: 'echo',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
  });
  await publish(reshapeModel().graph, {
    name: 'reshape',
    inputs: [
      { name: 'x', datatype: 'FP32', shape: [-1] },
      { name: 'shape', datatype: 'INT64', shape: [-1] },
    ],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, -1] }],
  });
  await publish(fillModel().graph, {
    name: 'fill',
    inputs: [{ name: 'size', datatype: 'INT64', shape: [1] }],
    outputs: [{ name: 'sum', datatype: 'FP32', shape: [] }],
  });
  await publish(constantModel(1 / 3).graph, {
    name: 'constant',
    inputs: [{ name: 'size', datatype: 'INT64', shape: [1] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
  });
  await publish(new TextEncoder().encode('this is no model at all'), {
    name: 'corrupt',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [1] }],
  });
});
afterAll(() => server?.stop());

const echo = { name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] };

function infer(model: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) {
  return fetch(`${server.url}/v2/models/${model}/infer`, { method: 'POST', body, headers });
}

async function refusal(answer: Promise<Response>): Promise<[number, string | null]> {
  const response = await answer;
  expect(await response.json()).toEqual({ error: expect.any(String) });
  return [response.status, response.headers.get('Edgewise-Error')];
}

const invalid = [400, 'invalid_request'];
const mismatch = [400, 'shape_mismatch'];
const input = (change: object) => JSON.stringify({ inputs: [{ ...echo, ...change }] });
/** Joins JSON part and binary part into one body. */
const frame = (json: object, blockBytes: number): Uint8Array<ArrayBuffer> => {
  const head = new TextEncoder().encode(JSON.stringify(json));
  const body = new Uint8Array(head.byteLength + blockBytes);
  body.set(head);
  return body;
};
const binaryInput = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], parameters: { binary_data_size: 8 } }],
};
const headBytes = JSON.stringify(binaryInput).length;
const frameLength = (length: number | string) => ({ 'Inference-Header-Content-Length': String(length) });

afterEach(async () => {
  const answer = await infer('echo', input({}));
  expect(await answer.json()).toMatchObject({ outputs: [{ data: [1, 2] }] });
});

describe('an invalid request', () => {
  it.each<[string, string, (string | number | null)[]]>([
    ['is no JSON', '{"inputs":', invalid],
    ['is empty', '', invalid],
    ['is another value', '[1,2,3]', invalid],
    ['has inputs of another type', '{"inputs":"x"}', invalid],
    ['has data of another type', input({ data: ['a', 'b'] }), invalid],
    ['has a null element', input({ data: [1, null] }), invalid],
    ['has an element too many', input({ data: [1, 2, 3] }), mismatch],
    ['has an element too few', input({ data: [1] }), mismatch],
    ['has another shape than the model', input({ shape: [1, 3], data: [1, 2, 3] }), mismatch],
    ['has another datatype', input({ datatype: 'FP64' }), invalid],
    ['has a datatype that is none', input({ datatype: 'FP12' }), [400, 'unsupported_datatype']],
    ['has a negative dimension', input({ shape: [-1, 2] }), invalid],
    ['has an absurd dimension', input({ shape: [2 ** 40, 2] }), mismatch],
    ['has dimensions whose product cannot be counted', input({ shape: [2 ** 50, 2 ** 50] }), invalid],
    ['lacks its input', '{"inputs":[]}', invalid],
    ['has an input too many', JSON.stringify({ inputs: [echo, { ...echo, name: 'z' }] }), invalid],
    ['names an input twice', JSON.stringify({ inputs: [echo, echo] }), invalid],
    ['is nested 200 deep', `{"inputs":${'['.repeat(200)}${']'.repeat(200)}}`, invalid],
    ['is nested 2,000,000 deep', '['.repeat(2_000_000), invalid],
  ])('that %s is rejected', async (_, body, expected) => {
    expect(await refusal(infer('echo', body))).toEqual(expected);
  });

  it.each<[string, Uint8Array<ArrayBuffer>, string | number]>([
    ['a header length that is no number', frame(binaryInput, 8), 'ten'],
    ['a negative header length', frame(binaryInput, 8), -1],
    ['a header length beyond the body', frame(binaryInput, 8), headBytes + 9],
    ['a header length in the middle of the JSON', frame(binaryInput, 8), headBytes - 1],
    ['a block that is cut off', frame(binaryInput, 7), headBytes],
    ['bytes after the last block', frame(binaryInput, 9), headBytes],
    ['a raw body that does not fit the shape', new Uint8Array(7), 0],
  ])('with %s is rejected', async (_, body, length) => {
    const [status] = await refusal(infer('echo', body, frameLength(length)));
    expect(status).toBe(400);
  });

  it('that is too large is rejected, with or without Content-Length', async () => {
    const large = new Uint8Array(8 * 1024 * 1024 + 1);
    expect(await refusal(infer('echo', large))).toEqual([413, 'too_large']);
    const chunks = Array.from({ length: 9 }, () => new Uint8Array(1024 * 1024)).values();
    const stream = ReadableStream.from(chunks);
    const answer = fetch(`${server.url}/v2/models/echo/infer`, {
      method: 'POST',
      body: stream,
      duplex: 'half',
    });
    expect(await refusal(answer)).toEqual([413, 'too_large']);
  });

  it('that is a decompression bomb is rejected', async () => {
    const bomb = gzipSync(new Uint8Array(512 * 1024 * 1024));
    expect(bomb.byteLength).toBeLessThan(1024 * 1024);
    expect(await refusal(infer('echo', new Uint8Array(bomb), { 'Content-Encoding': 'gzip' }))).toEqual([
      413,
      'too_large',
    ]);
  });

  it('that does not match its Content-Encoding is rejected', async () => {
    expect(await refusal(infer('echo', input({}), { 'Content-Encoding': 'gzip' }))).toEqual(invalid);
    expect(await refusal(infer('echo', input({}), { 'Content-Encoding': 'br' }))).toEqual([
      415,
      'unsupported_encoding',
    ]);
  });

  it('with too much JSON is rejected, while the same tensor in binary is accepted', async () => {
    const shape = [500_000, 2];
    expect(await refusal(infer('echo', input({ shape, data: new Array(1_000_000).fill(12.5) })))).toEqual([
      413,
      'too_large',
    ]);
    const outputs = [{ name: 'y', parameters: { binary_data: true } }];
    const head = { name: 'x', datatype: 'FP32', shape, parameters: { binary_data_size: 4_000_000 } };
    const json = { inputs: [head], outputs };
    const answer = await infer('echo', frame(json, 4_000_000), frameLength(JSON.stringify(json).length));
    expect(answer.status).toBe(200);
    await answer.arrayBuffer();
  });

  it('that its client cuts off does not affect other requests', async () => {
    const port = Number(new URL(server.url).port);
    for (let index = 0; index < 20; index += 1) {
      await new Promise<void>((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () => {
          socket.write(
            'POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"inputs":[',
          );
          socket.destroy();
          resolve();
        });
        socket.on('error', reject);
      });
    }
  });
});

describe('an answer that is too large', () => {
  const constant = (size: number, binary: boolean) =>
    infer(
      'constant',
      JSON.stringify({
        inputs: [{ name: 'size', datatype: 'INT64', shape: [1], data: [size] }],
        parameters: { binary_data_output: binary },
      }),
    );

  it('is rejected before it leaves the engine, in either encoding, many at a time', async () => {
    const answers = Array.from({ length: 16 }, async (_, index) => {
      const answer = await constant(15_000_000, index % 2 === 0);
      expect(answer.status).toBe(413);
      expect(await answer.json()).toEqual({
        error: expect.stringContaining('the outputs have 60000000 bytes'),
      });
    });
    await Promise.all(answers);
  });

  it('in JSON only is returned in binary', async () => {
    expect(await refusal(constant(400_000, false))).toEqual([413, 'too_large']);
    const answer = await constant(400_000, true);
    expect((await answer.arrayBuffer()).byteLength).toBeGreaterThan(1_600_000);
    expect(await (await constant(3, false)).json()).toMatchObject({ outputs: [{ shape: [3] }] });
  });
});

describe('a model that fails', () => {
  const reshape = (shape: number[]) =>
    infer(
      'reshape',
      JSON.stringify({
        inputs: [
          { name: 'x', datatype: 'FP32', shape: [4], data: [1, 2, 3, 4] },
          { name: 'shape', datatype: 'INT64', shape: [shape.length], data: shape },
        ],
      }),
    );
  const fill = (size: number) =>
    infer(
      'fill',
      JSON.stringify({ inputs: [{ name: 'size', datatype: 'INT64', shape: [1], data: [size] }] }),
    );

  it('inside a run rejects those inputs and accepts the next', async () => {
    expect(await refusal(reshape([3, 5]))).toEqual(invalid);
    expect(await (await reshape([2, 2])).json()).toMatchObject({ outputs: [{ shape: [2, 2] }] });
  });

  it('for lack of memory says so and accepts the next request', async () => {
    expect(await refusal(fill(64 * 1024 * 1024))).toEqual([503, 'no_capacity']);
    expect(await (await fill(1000)).json()).toMatchObject({ outputs: [{ data: [1000] }] });
  });

  it('to load is not blamed on the caller, and is tried again', async () => {
    const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] });
    expect(await refusal(infer('corrupt', body))).toEqual([503, 'model_not_ready']);
    expect(await refusal(infer('corrupt', body))).toEqual([503, 'model_not_ready']);
  });
});
