/** Shutdown of an origin: the real process, with requests in flight. */
import { connect } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { OriginServer } from '../../scripts/origin-server.ts';
import { createInferenceClient } from '../../src/client/inference-client.ts';
import { loadReportOf } from '../../src/protocol/load-report.ts';
import { encodeInferRequest } from '../../src/protocol/oip/infer-client.ts';
import { headerLengthName } from '../../src/protocol/oip/types.ts';
import { inlineModel } from '../support/onnx-models.ts';
import { type PublishedGraph, startOriginService } from '../support/origin-service.ts';
import { fp32, fp32Output } from '../support/run.ts';
import { bearer } from '../support/services.ts';
import { signalUntilEnded } from '../support/signal-until-ended.ts';

const width = 256;
const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, width] });
/** A run over 2000 rows takes some hundred milliseconds; over one row, almost nothing. */
const chain: PublishedGraph = {
  graph: new Uint8Array(inlineModel({ layers: 40, width }).graph),
  model: { name: 'chain', inputs: [spec('x')], outputs: [spec('y')] },
};

let origin: OriginServer;
afterEach(() => origin?.stop());

async function start(vars: Readonly<Record<string, string>>): Promise<void> {
  origin = await startOriginService({ models: [chain], vars: { EDGEWISE_PRELOAD: 'chain', ...vars } });
  await vi.waitFor(async () => expect(await statusOf('/v2/health/ready')).toBe(200), { timeout: 10_000 });
}

function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${origin.url}${path}`, { ...init, headers: { ...bearer(origin.key), ...init.headers } });
}

async function statusOf(path: string): Promise<number> {
  const answer = await ask(path);
  await answer.body?.cancel();
  return answer.status;
}

/** Returns the rows of the answer. */
async function infer(rows: number): Promise<number> {
  const client = createInferenceClient({ url: origin.url, key: origin.key, maxAttempts: 1 });
  const feeds = new Map([['x', fp32([rows, width], new Float32Array(rows * width).fill(1))]]);
  const { outputs } = await client.infer({ name: 'chain' }, feeds);
  return fp32Output(outputs, 'y').shape[0] ?? 0;
}

async function untilRun(count: number): Promise<void> {
  const client = createInferenceClient({ url: origin.url, key: origin.key });
  await vi.waitFor(
    async () => {
      const [statistics] = await client.statistics({ name: 'chain' });
      expect(statistics?.execution_count).toBeGreaterThanOrEqual(count);
    },
    { timeout: 20_000, interval: 5 },
  );
}

const signal = (name: NodeJS.Signals) => process.kill(origin.pid, name);

describe('src/node.ts on SIGTERM', () => {
  it('is not ready at once, answers requests in flight and new ones, and exits with 0', async () => {
    await start({ EDGEWISE_DRAIN_GRACE_MS: '3000' });
    const rows = 2000;
    const underWay = Array.from({ length: 8 }, () => infer(rows));
    // The other requests were sent together with the first.
    await untilRun(1);
    signal('SIGTERM');
    await vi.waitFor(async () => expect(await statusOf('/v2/health/ready')).toBe(503), { interval: 1 });
    expect(await statusOf('/v2/health/live')).toBe(200);
    const model = await ask('/v2/models/chain/ready');
    expect([model.status, await model.json()]).toEqual([503, { name: 'chain', ready: false }]);
    const late = await ask('/v2/models/absent/infer', { method: 'POST', body: '{}' });
    expect(late.headers.get('connection')).toBe('close');
    expect(loadReportOf(late.headers)?.utilisation).toBeGreaterThanOrEqual(1);
    expect(await infer(1)).toBe(1);
    expect(await Promise.all(underWay)).toEqual(underWay.map(() => rows));
    expect(await origin.ended).toBe('with code 0');
    await expect(ask('/v2/health/live')).rejects.toThrow();
  });

  it('answers requests that had arrived, even if runs block its thread past the drain times', async () => {
    await start({});
    const rows = 2000;
    const underWay = Array.from({ length: 16 }, () => infer(rows));
    await untilRun(1);
    signal('SIGTERM');
    expect(await Promise.all(underWay)).toEqual(underWay.map(() => rows));
    expect(await origin.ended).toBe('with code 0');
  });

  it('loses no request of callers that switch to another server once it is not ready', async () => {
    await start({ EDGEWISE_DRAIN_GRACE_MS: '500' });
    const feeds = new Map([['x', fp32([1, width], new Float32Array(width))]]);
    const {
      body,
      contentType,
      headerLength = '',
    } = encodeInferRequest({ inputs: feeds, binaryInput: true, binaryOutput: true });
    const headers = { 'Content-Type': contentType, [headerLengthName]: headerLength };
    const statuses: number[] = [];
    const caller = async () => {
      for (let told = false; !told; ) {
        const answer = await ask('/v2/models/chain/infer', { method: 'POST', body, headers });
        await answer.arrayBuffer();
        statuses.push(answer.status);
        told = answer.headers.get('connection') === 'close';
      }
    };
    const callers = Array.from({ length: 8 }, caller);
    await vi.waitFor(() => expect(statuses.length).toBeGreaterThan(100), { timeout: 10_000 });
    signal('SIGTERM');
    await Promise.all(callers);
    expect(await origin.ended).toBe('with code 0');
    expect(new Set(statuses)).toEqual(new Set([200]));
  });

  it('sends an answer completely to a caller that reads slowly', async () => {
    await start({});
    const rows = 10_000;
    const body = new Float32Array(rows * width);
    const json = JSON.stringify({
      inputs: [
        {
          name: 'x',
          datatype: 'FP32',
          shape: [rows, width],
          parameters: { binary_data_size: body.byteLength },
        },
      ],
      parameters: { binary_data_output: true },
    });
    const socket = connect(Number(new URL(origin.url).port), '127.0.0.1');
    socket.pause();
    let received = 0;
    let head = '';
    socket.on('data', (chunk: Buffer) => {
      if (received === 0) head = chunk.toString('latin1', 0, 2000);
      received += chunk.byteLength;
    });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(
      `POST /v2/models/chain/infer HTTP/1.1\r\nHost: origin\r\nAuthorization: Bearer ${origin.key}\r\n` +
        `Inference-Header-Content-Length: ${json.length}\r\nContent-Length: ${json.length + body.byteLength}\r\n\r\n${json}`,
    );
    socket.write(new Uint8Array(body.buffer));
    await untilRun(1);
    signal('SIGTERM');
    await vi.waitFor(() => expect(ask('/v2/health/live')).rejects.toThrow(), { timeout: 5000 });
    socket.resume();
    await closed;
    expect(head).toMatch(/^HTTP\/1\.1 200 /);
    expect(received).toBeGreaterThan(body.byteLength);
    expect(await origin.ended).toBe('with code 0');
  });

  it.each<[string, Readonly<Record<string, string>>, boolean]>([
    ['at a second signal', {}, true],
    ['when its time is over', { EDGEWISE_DRAIN_TIMEOUT_MS: '100' }, false],
  ])('exits with 1, even with requests in flight, %s', async (_, vars, again) => {
    await start({ EDGEWISE_DRAIN_GRACE_MS: '60000', ...vars });
    signal('SIGTERM');
    if (again) {
      await vi.waitFor(async () => expect(await statusOf('/v2/health/ready')).toBe(503), { interval: 1 });
    }
    expect(again ? await signalUntilEnded(origin, 'SIGINT') : await origin.ended).toBe('with code 1');
  });
});
