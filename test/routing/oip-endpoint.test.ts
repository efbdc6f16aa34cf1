import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { headerLengthName } from '../../src/protocol/oip/types.ts';
import { inferPath, oipAttempt } from '../../src/routing/oip-endpoint.ts';
import { fixedDataTypes } from '../../src/tensor/datatype.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { jsonDataTypes, tensors } from '../protocol/oip/arbitrary.ts';
import { failureOf } from './attempts.ts';
import { echo, metadata, newCapabilities, parseReceived, requestOf, startOipServer } from './oip-server.ts';
import { closedUrl, contextOf, endpointAt, json, startServer } from './servers.ts';

const x: Tensor = { datatype: 'FP32', shape: [1, 3], data: Float32Array.of(1.5, -0, 3e38) };
const inputs = new Map([['x', x]]);
const half: Tensor = { datatype: 'FP16', shape: [1], data: Uint16Array.of(0x3c00) };

describe('oipAttempt()', () => {
  it('sends an all-binary body on unchanged, and reads tensors from the answer', async () => {
    const server = await startOipServer(echo);
    const request = requestOf(inputs);
    const { value } = await oipAttempt(newCapabilities(), request)(endpointAt(server.url), contextOf());
    expect(value.outputs).toEqual(inputs);
    expect(server.inferences[0]?.body).toEqual(request.original?.body);
  });

  it('sends the request id, the time left and the trace, and nothing about the caller', async () => {
    const server = await startOipServer(echo);
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    const request = requestOf(inputs, { traceparent });
    await oipAttempt(newCapabilities(), request)(endpointAt(server.url), contextOf({ remainingMs: 1234.9 }));
    expect(server.inferences[0]).toMatchObject({
      method: 'POST',
      url: '/v2/models/acme%2Fm/versions/7/infer',
      headers: {
        'content-type': 'application/octet-stream',
        [headerLengthName.toLowerCase()]: request.original?.headerLength,
        'x-request-id': 'request-1',
        'edgewise-timeout-ms': '1234',
        'endpoint-load-metrics-format': 'json',
        'accept-encoding': 'identity',
        authorization: 'Bearer origin-key',
        traceparent,
      },
    });
  });

  it('gives the endpoint no more time than its own timeout', async () => {
    const server = await startOipServer(echo);
    const endpoint = endpointAt(server.url, { timeoutMs: 250 });
    await oipAttempt(newCapabilities(), requestOf(inputs))(endpoint, contextOf());
    expect(server.inferences[0]?.headers['edgewise-timeout-ms']).toBe('250');
  });

  it('asks in binary if the caller sent JSON, or asked for it', async () => {
    const server = await startOipServer(echo);
    const endpoint = endpointAt(server.url);
    const sentAsJson = requestOf(inputs, { sent: 'json' });
    const jsonRequest = requestOf(inputs);
    for (const request of [
      sentAsJson,
      { ...jsonRequest, request: { ...jsonRequest.request, binaryOutput: false } },
    ]) {
      const { value } = await oipAttempt(newCapabilities(), request)(endpoint, contextOf());
      expect(value.outputs).toEqual(inputs);
    }
    expect(server.inferences).toHaveLength(2);
    for (const received of server.inferences) {
      expect(received.headers[headerLengthName.toLowerCase()]).toBeDefined();
      expect(parseReceived(received).binaryOutput).toBe(true);
    }
  });

  it('asks for the plain tensor if the caller asks for classes', async () => {
    const server = await startOipServer(echo);
    const request = requestOf(inputs);
    const outputs = [{ name: 'x', binary: true, classification: 2 }];
    await oipAttempt(newCapabilities(), { ...request, request: { ...request.request, outputs } })(
      endpointAt(server.url),
      contextOf(),
    );
    expect(server.inferences.map((received) => parseReceived(received).outputs)).toEqual([
      [{ name: 'x', binary: true }],
    ]);
  });

  it('does not send a raw body on: its datatype and shape are in the model here', async () => {
    const server = await startOipServer(echo);
    const original = { body: Uint8Array.of(1, 2, 3), headerLength: '0' };
    const { value } = await oipAttempt(newCapabilities(), requestOf(inputs, { original }))(
      endpointAt(server.url),
      contextOf(),
    );
    expect(value.outputs).toEqual(inputs);
  });

  it('keeps the id and the parameters of the request', async () => {
    const server = await startOipServer(echo);
    const request = requestOf(inputs, { sent: 'json' });
    const named = { ...request.request, id: 'é"1', parameters: { priority: 2 } };
    await oipAttempt(newCapabilities(), { ...request, request: named })(endpointAt(server.url), contextOf());
    expect(server.inferences.map((received) => parseReceived(received))).toMatchObject([
      { id: 'é"1', parameters: { priority: 2 } },
    ]);
  });

  it.each([
    ['lists no binary tensors', (): unknown => metadata([])],
    ['has extensions of its own only', (): unknown => metadata(['model_repository_extension'])],
    ['lists no extensions', (): unknown => ({ name: 'OpenVINO Model Server', version: '2025.3' })],
  ])('sends JSON to a server that %s', async (_, about) => {
    const server = await startServer((request, response) =>
      request.url === '/v2' ? json(response, 200, about()) : echo(request, response),
    );
    const { value } = await oipAttempt(newCapabilities(), requestOf(inputs))(
      endpointAt(server.url),
      contextOf(),
    );
    expect(value.outputs).toEqual(inputs);
    const [, received] = server.received;
    expect(received?.headers['content-type']).toBe('application/json');
    expect(received?.headers[headerLengthName.toLowerCase()]).toBeUndefined();
  });

  it('sends FP16, which has no JSON form, only to servers that accept binary', async () => {
    const server = await startOipServer(echo, metadata([]));
    const endpoint = endpointAt(server.url);
    const request = requestOf(new Map([['x', half]]));
    expect(await failureOf(oipAttempt(newCapabilities(), request)(endpoint, contextOf()))).toMatchObject({
      outcome: 'lacks-model',
    });
    expect(server.inferences).toEqual([]);
  });

  it('returns the outputs that the request lists, in its order', async () => {
    const server = await startOipServer(echo);
    const two = requestOf(
      new Map([
        ['x', x],
        ['y', x],
        ['z', x],
      ]),
    );
    const outputs = ['z', 'x'].map((name) => ({ name, binary: true }));
    const { value } = await oipAttempt(newCapabilities(), { ...two, request: { ...two.request, outputs } })(
      endpointAt(server.url),
      contextOf(),
    );
    expect([...value.outputs.keys()]).toEqual(['z', 'x']);
  });

  it('accepts an answer without model_name, model_version and id, and with more outputs than requested', async () => {
    const outputs = ['more', 'x'].map((name) => ({
      name,
      datatype: 'FP32',
      shape: [1, 3],
      data: [[1, 2, 3]],
      parameters: { content_type: 'np', headers: { nested: 'x' } },
    }));
    const server = await startOipServer((_, response) => json(response, 200, { outputs }), metadata([]));
    const { value } = await oipAttempt(newCapabilities(), requestOf(inputs))(
      endpointAt(server.url),
      contextOf(),
    );
    expect(value.outputs).toEqual(
      new Map([['x', { datatype: 'FP32', shape: [1, 3], data: Float32Array.of(1, 2, 3) }]]),
    );
  });

  it.each([[[3]], [[3, 1]], [[1, 3, 1]]])(
    'takes an output as the runtime gives it, in the shape %j, whatever the graph declares',
    async (shape) => {
      const outputs = [{ name: 'x', datatype: 'FP32', shape, data: [1, 2, 3] }];
      const server = await startOipServer((_, response) => json(response, 200, { outputs }));
      const { value } = await oipAttempt(newCapabilities(), requestOf(inputs))(
        endpointAt(server.url),
        contextOf(),
      );
      expect(value.outputs.get('x')?.shape).toEqual(shape);
    },
  );

  it("returns the endpoint's load report and Server-Timing", async () => {
    const server = await startOipServer((request, response) => {
      response.setHeader('endpoint-load-metrics', 'JSON {"application_utilization":0.5}');
      response.setHeader('Server-Timing', 'run;dur=4');
      return echo(request, response);
    });
    const answer = await oipAttempt(newCapabilities(), requestOf(inputs))(
      endpointAt(server.url),
      contextOf(),
    );
    expect(answer.load).toEqual({ utilisation: 0.5 });
    expect(answer.value.serverTiming).toBe('run;dur=4');
  });

  it.each<[string, object, string]>([
    ['lacks an output', { outputs: [] }, 'no output "x"'],
    [
      'has another datatype',
      { outputs: [{ name: 'x', datatype: 'INT8', shape: [1, 3], data: [1, 2, 3] }] },
      'is INT8',
    ],
    ['is none', { hello: 'world' }, 'its answer cannot be read'],
    [
      'says what it was asked, which no log shall hold',
      { outputs: [{ name: 'x', datatype: 'my secret', shape: [3], data: [1, 2, 3] }] },
      'its answer cannot be read',
    ],
  ])('fails for an answer that %s', async (_, body, reason) => {
    const server = await startOipServer((_, response) => json(response, 200, body));
    const attempt = oipAttempt(newCapabilities(), requestOf(inputs))(endpointAt(server.url), contextOf());
    expect(await failureOf(attempt)).toMatchObject({
      outcome: 'model-failure',
      reason: expect.stringContaining(reason),
    });
  });

  it.each([
    ['says so', true],
    ['does not say so', false],
  ])('rejects an answer that is too large if its head %s', async (_, declared) => {
    const server = await startOipServer((_, response) => {
      response.writeHead(200, declared ? { 'Content-Length': 4096 } : {});
      response.end(Buffer.alloc(4096));
    });
    const request = requestOf(inputs, { maxAnswerBytes: 4095 });
    await expect(
      oipAttempt(newCapabilities(), request)(endpointAt(server.url), contextOf()),
    ).rejects.toMatchObject({ code: 'too_large' });
  });

  it('follows no redirect', async () => {
    const server = await startOipServer((_, response) => {
      response.writeHead(307, { Location: '/elsewhere' });
      response.end();
    });
    const attempt = oipAttempt(newCapabilities(), requestOf(inputs))(endpointAt(server.url), contextOf());
    expect(await failureOf(attempt)).toMatchObject({ outcome: 'failure', reason: 'answered 307' });
    expect(server.inferences).toHaveLength(1);
  });

  it('fails if nothing listens, and if the answer breaks off', async () => {
    const server = await startOipServer((_, response) => {
      response.writeHead(200, { 'Content-Length': 100 });
      response.write('half', () => response.destroy());
    });
    const attempt = oipAttempt(newCapabilities(), requestOf(inputs));
    expect(await failureOf(attempt(endpointAt(server.url), contextOf()))).toMatchObject({
      outcome: 'model-failure',
    });
    expect(
      await failureOf(attempt(endpointAt(await closedUrl(), { binary: true }), contextOf())),
    ).toMatchObject({
      outcome: 'failure',
      reason: expect.stringContaining('could not be reached'),
    });
  });

  it('is cancelled at the endpoint when it is aborted', async () => {
    let gone: Promise<unknown> | undefined;
    const controller = new AbortController();
    const server = await startOipServer((_, response) => {
      gone = new Promise((resolve) => response.on('close', resolve));
      controller.abort(new Error('overtaken'));
    });
    const attempt = oipAttempt(newCapabilities(), requestOf(inputs));
    expect(
      await failureOf(attempt(endpointAt(server.url), contextOf({ signal: controller.signal }))),
    ).toMatchObject({
      outcome: 'failure',
      reason: expect.stringContaining('overtaken'),
    });
    await gone;
  });

  it('arrives as the same tensors, whether sent on unchanged, encoded anew, or as JSON', async () => {
    const binaryServer = await startOipServer(echo);
    const jsonServer = await startOipServer(echo, metadata([]));
    const capabilities = newCapabilities();
    const binary = endpointAt(binaryServer.url, { name: 'binary' });
    const plain = endpointAt(jsonServer.url, { name: 'json' });
    const any = [...fixedDataTypes, 'BYTES'] as const;
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), tensors(any), { minKeys: 1, maxKeys: 3 }),
        async (entries) => {
          const given = new Map(Object.entries(entries));
          const untouched = requestOf(given);
          const ways = [
            oipAttempt(capabilities, untouched)(binary, contextOf()),
            oipAttempt(capabilities, { ...untouched, original: undefined })(binary, contextOf()),
          ];
          if ([...given.values()].every(({ datatype }) => jsonDataTypes.includes(datatype))) {
            ways.push(oipAttempt(capabilities, untouched)(plain, contextOf()));
          }
          for (const answer of await Promise.all(ways)) expect(answer.value.outputs).toEqual(given);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('inferPath()', () => {
  const manifest = { name: 'acme/m', version: '7' };

  it.each([
    [{ modelNames: {}, versions: 'same' }, '/v2/models/acme%2Fm/versions/7/infer'],
    [{ modelNames: {}, versions: 'default' }, '/v2/models/acme%2Fm/infer'],
    [{ modelNames: { 'acme/m': 'm fp16' }, versions: 'same' }, '/v2/models/m%20fp16/versions/7/infer'],
    [{ modelNames: { other: 'm' }, versions: 'default' }, '/v2/models/acme%2Fm/infer'],
  ] as const)('is, for %j, %s', (config, path) => {
    expect(inferPath(config, manifest)).toBe(path);
  });

  it('ignores names of Object.prototype', () => {
    expect(inferPath({ modelNames: {}, versions: 'default' }, { name: 'constructor', version: '1' })).toBe(
      '/v2/models/constructor/infer',
    );
  });
});
