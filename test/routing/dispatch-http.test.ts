/** Requests through the whole pool, over real connections. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/async/clock.ts';
import { type DispatchRequest, dispatch } from '../../src/routing/dispatch.ts';
import { EndpointPool } from '../../src/routing/endpoint-pool.ts';
import { type OriginAnswer, oipAttempt } from '../../src/routing/oip-endpoint.ts';
import { passThroughAttempt } from '../../src/routing/pass-through.ts';
import type { Endpoint } from '../../src/routing/types.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { ManualClock } from '../support/clock.ts';
import { echo, newCapabilities, requestOf, startOipServer } from './oip-server.ts';
import { closedUrl, endpointAt, type Handler, json, startServer } from './servers.ts';

const x: Tensor = { datatype: 'FP32', shape: [1], data: Float32Array.of(0.5) };
const inputs = new Map([['x', x]]);

function inference(options: Partial<DispatchRequest<OriginAnswer>> = {}): DispatchRequest<OriginAnswer> {
  return {
    model: 'acme/m',
    protocol: 'oip',
    replayable: true,
    hedge: false,
    deadlineMs: 10_000,
    attempt: oipAttempt(newCapabilities(), requestOf(inputs)),
    ...options,
  };
}

/** Endpoints in the order in which equal candidates are chosen. */
function poolOf(endpoints: readonly Endpoint[]): EndpointPool {
  return new EndpointPool({ endpoints, clock: systemClock, random: () => 0.99 });
}

const refusals: readonly [string, Handler][] = [
  ['fails', (_, response) => json(response, 500, { error: 'CUDA error' })],
  ['is full', (_, response) => json(response, 429, { error: 'queue' })],
  ['lacks the model', (_, response) => json(response, 404, { error: 'no model' })],
  ['answers rubbish', (_, response) => json(response, 200, 'rubbish')],
  ['breaks off', (_, response) => response.destroy()],
];

describe('dispatch() over HTTP', () => {
  it.each(refusals)('answers from another endpoint if one %s', async (_, refuse) => {
    const refusing = await startOipServer(refuse);
    const healthy = await startOipServer(echo);
    const pool = poolOf([
      endpointAt(refusing.url, { name: 'refusing' }),
      endpointAt(healthy.url, { name: 'healthy' }),
    ]);
    const { value, ...how } = await dispatch(pool, inference());
    expect(value.outputs).toEqual(inputs);
    expect(how).toEqual({ endpoint: 'healthy', attempts: 2, hedged: false });
    expect(refusing.inferences[0]?.body).toEqual(healthy.inferences[0]?.body);
  });

  it('hides the failures from the caller if all endpoints fail, and logs each of them', async () => {
    const failing = await startOipServer((_, response) =>
      json(response, 500, { error: 'CUDA error on gpu-7' }),
    );
    const pool = poolOf([
      endpointAt(failing.url, { name: 'failing' }),
      endpointAt(await closedUrl(), { name: 'away', binary: true }),
    ]);
    await expect(dispatch(pool, inference())).rejects.toMatchObject({
      code: 'origin_unavailable',
      message: 'the origin server failed to answer this request',
      cause: {
        message: expect.stringMatching(
          /^failing: answered 500, with a text of 19 characters; away: could not be reached.*ECONNREFUSED/,
        ),
      },
    });
  });

  it("does not retry a request that is the caller's fault", async () => {
    const strict = await startOipServer((_, response) => json(response, 400, { error: 'bad shape' }));
    const endpoints = ['one', 'two'].map((name) => endpointAt(strict.url, { name }));
    await expect(dispatch(poolOf(endpoints), inference())).rejects.toMatchObject({
      code: 'invalid_request',
      message: 'bad shape',
    });
    expect(strict.inferences).toHaveLength(1);
  });

  it('cancels the slow attempt when another endpoint was faster', async () => {
    let isSlow = false;
    const gone: Promise<unknown>[] = [];
    const server = await startOipServer((request, response) => {
      if (!isSlow || gone.length > 0) return echo(request, response);
      gone.push(once(response, 'close'));
      return undefined;
    });
    const pool = poolOf(['one', 'two'].map((name) => endpointAt(server.url, { name, binary: true })));
    // So many requests pay for one hedge.
    for (let count = 0; count < 60; count += 1) await dispatch(pool, inference());
    isSlow = true;
    const { value, hedged, attempts } = await dispatch(pool, inference({ hedge: true }));
    expect(value.outputs).toEqual(inputs);
    expect({ hedged, attempts }).toEqual({ hedged: true, attempts: 2 });
    await Promise.all(gone);
    expect(gone).toHaveLength(1);
  });

  it('cancels the attempt in flight when the caller leaves', async () => {
    const controller = new AbortController();
    const gone: Promise<unknown>[] = [];
    const server = await startOipServer((_, response) => {
      gone.push(once(response, 'close'));
      controller.abort();
    });
    const pool = poolOf([endpointAt(server.url)]);
    await expect(dispatch(pool, inference({ signal: controller.signal }))).rejects.toMatchObject({
      code: 'deadline_exceeded',
    });
    await Promise.all(gone);
    expect(gone).toHaveLength(1);
  });

  it('does not end a stream that has begun, however long it takes', async () => {
    const upstreams: ServerResponse[] = [];
    const server = await startServer((_, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write('data: 1\n\n');
      upstreams.push(response);
    });
    const clock = new ManualClock();
    const pool = new EndpointPool({ endpoints: [endpointAt(server.url, { protocol: 'openai' })], clock });
    const { value } = await dispatch(pool, {
      ...inference(),
      protocol: 'openai',
      replayable: false,
      attempt: passThroughAttempt({
        method: 'POST',
        path: () => '/v1/completions',
        headers: {},
        requestId: 'request-1',
      }),
    });
    clock.advance(3_600_000);
    upstreams[0]?.end('data: 2\n\n');
    expect(await value.text()).toBe('data: 1\n\ndata: 2\n\n');
  });
});
