import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Feeds, Fetches } from '../../src/engine/types.ts';
import { EdgewiseError } from '../../src/errors.ts';
import { type Answered, Shadows, type ShadowsOptions } from '../../src/http/infer/shadow.ts';
import { emptyIndex } from '../../src/repository/index/changes.ts';
import type { ResolvedModel } from '../../src/repository/model-repository.ts';
import type { ModelIndex, Shadow } from '../../src/repository/schema.ts';
import type { Tier } from '../../src/routing/place.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { ShadowFigures } from '../../src/telemetry/shadow-figures.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { miniature } from '../repository/fixtures.ts';
import { ManualClock } from '../support/clock.ts';
import { signedBy } from '../support/publisher.ts';

const versions = new Map<string, ResolvedModel['manifest']>();
for (const version of ['1', '2']) versions.set(version, (await miniature({ version })).manifest);

function model(version: string, shadows: ModelIndex['shadows']): ResolvedModel {
  const manifest = versions.get(version);
  if (manifest === undefined) throw new EdgewiseError('version_not_found', `no version ${version}`);
  const index = { ...emptyIndex('mlp'), aliases: { stable: '1' }, ...(shadows && { shadows }) };
  return { manifest, manifestDigest: manifest.sourceDigest, index, signed: signedBy(manifest.sourceDigest) };
}

function rows(name: string, ...data: number[]): ReadonlyMap<string, Tensor> {
  const tensor: Tensor = {
    datatype: 'FP32',
    shape: [data.length / 10, 10],
    data: Float32Array.from(data),
  };
  return new Map([[name, tensor]]);
}
const row = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const feeds = rows('x', ...row);
const outputs = rows('y', ...row);

interface Run {
  readonly version: string;
  readonly tier: Tier | undefined;
  readonly feeds: Feeds;
  readonly jurisdiction: string | undefined;
  answer(outputs: Fetches): void;
  fail(error: unknown): void;
}

interface Scene {
  readonly shadows: Shadows;
  readonly clock: ManualClock;
  /** Runs that were begun, in order. */
  readonly runs: Run[];
  readonly deferred: Promise<unknown>[];
  readonly logLines: string[];
  /** A request was answered. */
  after(answered?: Partial<Answered>): void;
  /** Time moves on, and what waits for it. */
  settle(ms?: number): Promise<void>;
}

/** `stable` is version 1, and all of its requests are copied to version 2. */
function scene(
  options: Partial<ShadowsOptions> = {},
  shadow: Shadow = { version: '2', percent: 100 },
): Scene {
  const clock = new ManualClock();
  const runs: Run[] = [];
  const deferred: Promise<unknown>[] = [];
  const logLines: string[] = [];
  const shadows = new Shadows({
    clock,
    random: () => 0.5,
    defer: (work) => void deferred.push(work),
    logger: createLogger({ level: 'all', write: (line) => logLines.push(line) }),
    figures: new ShadowFigures(),
    resolve: (_, version) => model(version, undefined),
    run: ({ manifest }, tier, given, { jurisdiction }) =>
      new Promise((answer, fail) => {
        runs.push({ version: manifest.version, tier, feeds: given, jurisdiction, answer, fail });
      }),
    mayRun: () => true,
    ...options,
  });
  const answered: Answered = {
    model: model('1', { stable: shadow }),
    alias: undefined,
    tier: 'edge',
    feeds,
    outputs,
    requestId: 'request-1',
  };
  return {
    shadows,
    clock,
    runs,
    deferred,
    logLines,
    after: (changes) => shadows.after({ ...answered, ...changes }),
    settle: async (ms = 0) => {
      clock.advance(ms);
      for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    },
  };
}

const figureOf = ({ shadows }: Scene) => shadows.figures.ofModel('mlp')[0];

describe('Shadows.after()', () => {
  it('starts the copy after the answer could leave', async () => {
    const here = scene();
    here.after({ jurisdiction: 'eu' });
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    expect([here.runs.length, here.deferred.length]).toEqual([0, 1]);
    await here.settle();
    expect(here.runs).toMatchObject([{ version: '2', tier: undefined, jurisdiction: 'eu' }]);
    expect(here.runs[0]?.feeds).toBe(feeds);
  });

  it('compares the two answers and counts the result', async () => {
    const here = scene({}, { version: '2', tier: 'origin', percent: 100 });
    const answers = [
      rows('y', ...row),
      rows('y', ...row.map((value) => 9 - value)),
      rows('other', ...row),
      new Map([...rows('y', ...row), ...rows('more', ...row)]),
    ];
    for (const answer of answers) {
      here.after();
      await here.settle();
      here.runs.at(-1)?.answer(answer);
      await here.settle();
    }
    expect(here.runs[0]?.tier).toBe('origin');
    expect(figureOf(here)).toEqual({
      model: 'mlp',
      alias: 'stable',
      version: '2',
      tier: 'origin',
      sent: 4,
      skipped: 0,
      failed: 0,
      unlike: 1,
      compared: 3,
      exact: 2,
      near: 2,
      maxDifference: 9,
      rows: 3,
      sameTopRows: 2,
    });
    await Promise.all(here.deferred);
  });

  it('copies requests of the alias only, by name or by default', () => {
    const here = scene();
    for (const alias of ['1', '2', 'canary', 'constructor']) here.after({ alias });
    here.after({ model: model('1', undefined) });
    expect(figureOf(here)).toBeUndefined();
    here.after({ alias: 'stable' });
    here.after({ alias: undefined });
    expect(figureOf(here)?.sent).toBe(2);
  });

  it('copies no answer that the shadow itself gave', () => {
    const shadowed = (version: string, shadow: Shadow) => model(version, { stable: shadow });
    const anywhere: Shadow = { version: '2', percent: 100 };
    const atOrigin: Shadow = { version: '2', tier: 'origin', percent: 100 };
    const here = scene();
    here.after({ model: shadowed('2', anywhere) });
    here.after({ model: shadowed('2', atOrigin), tier: 'origin' });
    expect(figureOf(here)).toBeUndefined();
    here.after({ model: shadowed('2', atOrigin), tier: 'edge' });
    expect(figureOf(here)?.sent).toBe(1);
  });

  it('limits the copies under way, and skips the others', async () => {
    const here = scene({ maxInFlight: 2 });
    for (let request = 0; request < 5; request += 1) here.after();
    await here.settle();
    expect([here.runs.length, figureOf(here)?.skipped]).toEqual([2, 3]);
    here.runs[0]?.answer(outputs);
    await here.settle();
    here.after();
    here.after();
    await here.settle();
    expect(here.runs).toHaveLength(3);
    expect(figureOf(here)).toMatchObject({ sent: 3, skipped: 4, compared: 1 });
  });

  it('skips a copy that would hold too much memory', async () => {
    // Ten FP32 values in, ten out.
    const here = scene({ maxInFlight: 9, maxHeldBytes: 160 });
    here.after({ outputs: rows('y', ...row, ...row, ...row, ...row) });
    here.after();
    here.after();
    here.after();
    expect(figureOf(here)).toMatchObject({ sent: 2, skipped: 2 });
  });

  it('skips when the isolate has no time', () => {
    let mayRun = false;
    const here = scene({ mayRun: () => mayRun });
    here.after();
    mayRun = true;
    here.after();
    expect(figureOf(here)).toMatchObject({ sent: 1, skipped: 1 });
  });

  it('copies the configured share, in any order of requests', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { minLength: 1 }),
        (percent, draws) => {
          let drawn = 0;
          const random = () => draws[drawn++ % draws.length] ?? 0;
          const here = scene({ random, maxInFlight: 1000 }, { version: '2', percent });
          for (let request = 0; request < 200; request += 1) here.after();
          expect(Math.abs((figureOf(here)?.sent ?? 0) - 2 * percent)).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('counts a copy that fails, and logs its code without the text of a refusal', async () => {
    const here = scene();
    for (const error of [
      new EdgewiseError('invalid_request', 'the secret of the request'),
      new EdgewiseError('origin_unavailable', 'no origin answered', { cause: new Error('a: refused') }),
    ]) {
      here.after();
      await here.settle();
      here.runs.at(-1)?.fail(error);
      await here.settle();
    }
    await Promise.all(here.deferred);
    expect(figureOf(here)).toMatchObject({ sent: 2, failed: 2, compared: 0 });
    const common = {
      level: 'info',
      event: 'shadow_failed',
      requestId: 'request-1',
      model: 'mlp',
      version: '2',
    };
    expect(here.logLines.map((line) => JSON.parse(line))).toEqual([
      { ...common, code: 'invalid_request' },
      {
        ...common,
        code: 'origin_unavailable',
        causes: ['origin_unavailable: no origin answered', 'Error: a: refused'],
      },
    ]);
  });

  it('sends no feeds that the shadow does not take, and survives a removed version', async () => {
    const here = scene();
    here.after({ feeds: rows('z', ...row) });
    await here.settle();
    expect(here.runs).toHaveLength(0);
    here.after({ model: model('1', { stable: { version: '3', percent: 100 } }) });
    await here.settle();
    await Promise.all(here.deferred);
    expect(here.shadows.figures.ofModel('mlp')).toMatchObject([
      { version: '2', sent: 1, failed: 1 },
      { version: '3', sent: 1, failed: 1 },
    ]);
  });

  it('gives up copies that died with their request, and ignores their late answers', async () => {
    const here = scene({ maxInFlight: 1 });
    here.after();
    await here.settle(59_999);
    here.after();
    expect(figureOf(here)).toMatchObject({ sent: 1, skipped: 1, failed: 0 });
    await here.settle(1);
    here.after();
    await here.settle();
    expect(figureOf(here)).toMatchObject({ sent: 2, skipped: 1, failed: 1 });
    here.runs[0]?.answer(outputs);
    here.runs[1]?.answer(outputs);
    await here.settle();
    expect(figureOf(here)).toMatchObject({ sent: 2, failed: 1, compared: 1 });
  });

  it('never exceeds the limit of copies, in any order of events', async () => {
    const event = fc.constantFrom('request', 'answer', 'failure', 'time');
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 40 }),
        fc.integer({ min: 1, max: 4 }),
        async (events, most) => {
          const here = scene({ maxInFlight: most });
          let ended = 0;
          for (const next of events) {
            if (next === 'request') here.after();
            if (next === 'time') await here.settle(1);
            const oldest = here.runs[ended];
            if (oldest !== undefined && (next === 'answer' || next === 'failure')) {
              ended += 1;
              if (next === 'answer') oldest.answer(outputs);
              else oldest.fail(new EdgewiseError('overloaded', 'too much to do'));
              await here.settle();
            }
            expect((figureOf(here)?.sent ?? 0) - ended).toBeLessThanOrEqual(most);
          }
          const { sent = 0, skipped = 0, failed = 0, compared = 0 } = figureOf(here) ?? {};
          expect(failed + compared).toBe(ended);
          expect(sent + skipped).toBe(events.filter((one) => one === 'request').length);
        },
      ),
    );
  });
});
