/** A profile that is wrong costs the first requests, and not every one: the app over a clock that a test turns. */
import { describe, expect, it } from 'vitest';
import type { Manifest } from '../../src/repository/schema.ts';
import { endpointAt } from '../routing/servers.ts';
import { ManualClock } from '../support/clock.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { bearer, callerKey, publishTiny, testService } from '../support/services.ts';

const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, 2] });
const signature = { inputs: [spec('x')], outputs: [spec('y')] };
const graph = fakeGraph({ op: 'identity', ...signature, sessionBytes: 65_536 });
const body = {
  method: 'POST',
  body: JSON.stringify({ inputs: [{ ...spec('x'), shape: [1, 2], data: [0.5, -2] }] }),
};
const budgetMs = 100;

function profileOf(runMs: number): Manifest['edgeProfile'] {
  return {
    engine: 'test',
    memoryCapBytes: 96 * 2 ** 20,
    sessionBytes: 65_536,
    peakBytes: 17 * 2 ** 20,
    createMs: 1,
    runs: [{ batchSize: 1, inputElements: 2, microseconds: runMs * 1000 }],
  };
}

interface Scene {
  /** What the profile says, and what a run takes. */
  readonly profileMs: number;
  readonly runMs: number;
  /** Whether a run moves the clock. False, as on Cloudflare: time is seen to have passed at the next request. */
  readonly clockRuns: boolean;
}

/** Returns tier and reason of each of `count` requests, one after the other. */
async function placements(
  { profileMs, runMs, clockRuns }: Scene,
  count: number,
  manifest: Partial<Manifest> = {},
): Promise<string[]> {
  const clock = new ManualClock();
  const origin = await testService({ tier: 'origin', engine: createFakeEngine() });
  let owedMs = 0;
  const onRun = async () => {
    if (clockRuns) clock.advance(runMs);
    else owedMs += runMs;
  };
  const made = endpointAt('http://origin.test', {});
  const edge = await testService({
    clock,
    engine: createFakeEngine({ onRun }),
    endpoints: [
      {
        ...made,
        headers: bearer(callerKey),
        fetch: (url, init) => origin.fetch(new URL(url).pathname, init),
      },
    ],
    variables: { EDGEWISE_EDGE_BUDGET_MS: String(budgetMs) },
  });
  const edgeProfile = profileOf(profileMs);
  for (const service of [edge, origin]) {
    await publishTiny(service, graph, { name: 'echo', ...signature, edgeProfile, ...manifest }, ['stable']);
  }
  const answers: string[] = [];
  for (let index = 0; index < count; index += 1) {
    clock.advance(owedMs);
    owedMs = 0;
    const { status, headers } = await edge.fetch('/v2/models/echo/infer', body);
    expect(status).toBe(200);
    answers.push(`${headers.get('Edgewise-Tier')} ${headers.get('Edgewise-Reason')}`);
  }
  return answers;
}

const atEdge = 'edge fits-edge';
const atOrigin = 'origin exceeds-edge-cpu';

describe('a profile that is too low', () => {
  it('sends only the first requests to the edge', async () => {
    const answers = await placements({ profileMs: 10, runMs: 400, clockRuns: true }, 40);
    const away = answers.indexOf(atOrigin);
    expect(away).toBeGreaterThan(0);
    expect(away).toBeLessThan(10);
    // Once more, to see whether it still is so.
    expect(answers.slice(away).filter((answer) => answer !== atOrigin).length).toBeLessThanOrEqual(1);
  });
});

describe.each([
  ['runs', true],
  ['stands still while the isolate computes', false],
])('a profile that is too high, where the clock %s', (_, clockRuns) => {
  it('keeps only the first requests away from the edge', async () => {
    const answers = await placements({ profileMs: 350, runMs: 20, clockRuns }, 40);
    expect(answers).toEqual([
      ...new Array<string>(15).fill(atOrigin),
      'edge edge-trial',
      ...new Array<string>(24).fill(atEdge),
    ]);
  });

  it('that is right for a large model is tested once in the first 100 requests', async () => {
    const answers = await placements({ profileMs: 350, runMs: 350, clockRuns }, 100);
    expect(answers.filter((answer) => answer !== atOrigin)).toEqual(['edge edge-trial']);
  });
});

describe('a profile measured with the most expensive values', () => {
  it('is neither lowered by cheap requests nor tested', async () => {
    const values = { x: { min: -10, max: 10 } };
    const scene = { profileMs: 350, runMs: 20, clockRuns: true };
    expect(await placements(scene, 40, { values })).toEqual(new Array<string>(40).fill(atOrigin));
  });
});

describe('a profile that is right', () => {
  it('is not corrected', async () => {
    expect(await placements({ profileMs: 50, runMs: 50, clockRuns: true }, 30)).toEqual(
      new Array<string>(30).fill(atEdge),
    );
    expect(await placements({ profileMs: 900, runMs: 900, clockRuns: true }, 30)).toEqual(
      new Array<string>(30).fill(atOrigin),
    );
  });
});
