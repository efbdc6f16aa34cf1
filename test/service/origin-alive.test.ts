/** An origin while its models compute: the real process, over HTTP. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { OriginServer } from '../../scripts/origin-server.ts';
import { createInferenceClient } from '../../src/client/inference-client.ts';
import { inlineModel } from '../support/onnx-models.ts';
import { startOriginService } from '../support/origin-service.ts';
import { fp32 } from '../support/run.ts';
import { bearer } from '../support/services.ts';
import { signalUntilEnded } from '../support/signal-until-ended.ts';

const width = 256;
const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, width] });

let origin: OriginServer;
afterEach(() => origin?.stop());

async function start(vars: Readonly<Record<string, string>> = {}): Promise<void> {
  const graph = new Uint8Array(inlineModel({ layers: 40, width }).graph);
  const model = { name: 'chain', inputs: [spec('x')], outputs: [spec('y')] };
  origin = await startOriginService({
    models: [{ graph, model }],
    vars: { EDGEWISE_PRELOAD: 'chain', ...vars },
  });
  await vi.waitFor(async () => expect(await statusOf('/v2/health/ready')).toBe(200), { timeout: 10_000 });
}

async function statusOf(path: string): Promise<number> {
  const answer = await fetch(`${origin.url}${path}`, { headers: bearer(origin.key) });
  await answer.body?.cancel();
  return answer.status;
}

/** Several runs of some hundred milliseconds each, which queue behind one another once the first is answered. */
function startRuns(rows = 2000): Promise<unknown>[] {
  const client = createInferenceClient({ url: origin.url, key: origin.key, maxAttempts: 1 });
  const feeds = new Map([['x', fp32([rows, width], new Float32Array(rows * width))]]);
  return Array.from({ length: 6 }, () => client.infer({ name: 'chain' }, feeds));
}

describe('src/node.ts with runs in progress', () => {
  it('answers health probes all the time', async () => {
    await start();
    const runs = startRuns();
    await Promise.race(runs);
    let over = false;
    const all = Promise.all(runs).finally(() => {
      over = true;
    });
    let probes = 0;
    while (!over) {
      expect(await statusOf('/v2/health/live')).toBe(200);
      probes += 1;
    }
    await all;
    // If runs shared the server's thread, only one or two probes would be answered between them.
    expect(probes).toBeGreaterThan(4 * runs.length);
  });

  it('exits with 1 at a second signal, and not by a crash of the runtime', async () => {
    await start({ EDGEWISE_DRAIN_GRACE_MS: '60000' });
    // Longer than a second in all, because a second signal within a second counts as the first one.
    const runs = startRuns(10_000);
    const settled = Promise.allSettled(runs);
    await Promise.race(runs);
    process.kill(origin.pid, 'SIGTERM');
    await vi.waitFor(async () => expect(await statusOf('/v2/health/ready')).toBe(503), { interval: 1 });
    expect(await signalUntilEnded(origin, 'SIGTERM')).toBe('with code 1');
    const outcomes = (await settled).map(({ status }) => status);
    expect(outcomes).toContain('rejected');
  });
});
