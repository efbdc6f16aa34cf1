/**
 * Receipts made by a real worker, whose answers are replayed in Node: answers of the edge bit for bit, by whichever build
 * of ONNX Runtime ran them; answers of an origin, which runs native ONNX Runtime, within the tolerance.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { DevServer } from '../../scripts/dev-server.ts';
import type { OriginServer } from '../../scripts/origin-server.ts';
import { publishSamples } from '../../scripts/publish-samples.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { upstreamBlobStore } from '../../src/client/upstream.ts';
import { importVerifyingKeys, type VerifyingKeys } from '../../src/governance/receipt/keys.ts';
import { peekReceipt, readReceipt } from '../../src/governance/receipt/read.ts';
import { verdictSchema } from '../../src/governance/receipt/schema.ts';
import { replay } from '../../src/governance/replay/replay.ts';
import type { ReplayFinding, ReplayMeans } from '../../src/governance/replay/types.ts';
import { createNodeReplay } from '../../src/platform/node-cli.ts';
import { attributeTypes, tensorTypes } from '../../src/repository/onnx/proto.ts';
import { trustedPublishersSchema, trustPublishers } from '../../src/repository/signing/publishers.ts';
import { type AskOptions, ask, disputeBody, type KeptAnswer } from '../support/answered.ts';
import { model, node, value } from '../support/onnx-models.ts';
import { isExtreme, type Question, questionCounts, replayCorpus } from '../support/replay-corpus.ts';
import { fp32 } from '../support/run.ts';
import { anyEdgeTime, startWorkerWithOrigin } from '../support/worker-with-origin.ts';
import { writeModelFolder } from './model-folders.ts';

const corpus = await replayCorpus();
const folder = mkdtempSync(join(tmpdir(), 'edgewise-replay-'));
let origin: OriginServer;
let worker: DevServer;
let keys: VerifyingKeys;
let means: ReplayMeans;

/** FP32 → FP64: a kernel that the JSPI build lacks, so the plain build runs it. */
const widenModel = model({
  node: [
    node('Cast', ['x'], ['y'], {
      attribute: [{ name: 'to', type: attributeTypes.INT, i: BigInt(tensorTypes.DOUBLE) }],
    }),
  ],
  input: [value('x', 'FP32', ['count'])],
  output: [value('y', 'FP64', ['count'])],
});

beforeAll(async () => {
  ({ worker, origin } = await startWorkerWithOrigin({
    cacheDirectory: join(folder, 'cache'),
    vars: anyEdgeTime,
  }));
  await publishSamples(worker);
  writeModelFolder(join(folder, 'widen'), widenModel, { name: 'widen' });
  await pushModel(join(folder, 'widen'), worker);
  keys = await importVerifyingKeys(await (await fetch(`${worker.url}/.well-known/jwks.json`)).json());
  means = createNodeReplay({
    blobs: upstreamBlobStore(createAdminClient({ url: worker.url, key: worker.adminKey })),
    publishers: trustPublishers(trustedPublishersSchema.parse(JSON.parse(worker.trustedPublishers))),
  });
}, 400_000);

afterAll(async () => {
  await Promise.all([worker?.stop(), origin?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

interface Asked extends Question {
  readonly kept: KeptAnswer;
}

/** Runs the work a few at a time. */
async function askAll(
  questions: readonly Question[],
  options: (index: number) => AskOptions,
): Promise<readonly Asked[]> {
  const asked: Asked[] = [];
  const waiting = questions.entries();
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (const [index, question] of waiting) {
        const kept = await ask(worker.url, question.model, question.feeds, options(index));
        asked.push({ ...question, kept });
      }
    }),
  );
  return asked;
}

async function replayKept(
  { inputs, outputs, receipt, salt }: KeptAnswer,
  shown = false,
): Promise<ReplayFinding> {
  const { receipt: read } = await readReceipt(receipt, keys);
  return replay({ receipt: read, salt, inputs, outputs: shown ? outputs : undefined }, means);
}

const verdictForm = z.object({
  verdict: verdictSchema,
  maxDifference: z.number().optional(),
  tolerance: z.number().optional(),
});

async function dispute(kept: KeptAnswer): Promise<z.infer<typeof verdictForm>> {
  const { headers, ...rest } = disputeBody(kept);
  const answer = await fetch(`${worker.url}/v1/disputes`, {
    method: 'POST',
    // Unauthenticated callers may send about thirty per minute.
    headers: { ...headers, authorization: `Bearer ${worker.adminKey}` },
    ...rest,
  });
  expect([answer.status, answer.headers.get('edgewise-error')]).toEqual([200, null]);
  return verdictForm.parse(await answer.json());
}

function runtimeOf({ receipt }: KeptAnswer): unknown {
  const read = peekReceipt(receipt).receipt;
  return read.kind === 'inference' ? read.route.runtime?.wasm : undefined;
}

describe('answers of the edge', () => {
  it('are replayed in Node bit for bit: over a thousand answers of all sample models', {
    timeout: 300_000,
  }, async () => {
    const began = performance.now();
    // Every tenth in JSON: the commitment covers the tensors, not their encoding.
    const asked = await askAll(corpus, (index) => ({ binary: index % 10 !== 0 }));
    const askedMs = performance.now() - began;
    const counts = new Map<string, number>();
    for (const { model: name, kept } of asked) {
      const finding = await replayKept(kept);
      expect({ name, tier: kept.tier, ...finding }).toEqual({
        name,
        tier: 'edge',
        verdict: 'reproduced_exact',
      });
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    expect(Object.fromEntries(counts)).toEqual(questionCounts);
    expect(asked.length).toBeGreaterThanOrEqual(1000);
    const replayedMs = performance.now() - began - askedMs;
    console.log(
      `${asked.length} receipts, asked in ${Math.round(askedMs)} ms, replayed in ${Math.round(replayedMs)} ms`,
    );
  });

  it('are replayed by the build that ran them, including the plain build', async () => {
    const x = fp32([3], new Float32Array([0.1, -2, 3e38]));
    const plain = await ask(worker.url, 'widen', new Map([['x', x]]));
    expect(await replayKept(plain)).toEqual({ verdict: 'reproduced_exact' });
    const jspi = await ask(worker.url, 'mlp', mlpFeeds());
    expect(runtimeOf(plain)).toMatch(/^sha256:/);
    expect(runtimeOf(plain)).not.toBe(runtimeOf(jspi));
  });

  it('are verified by the worker itself as well', async () => {
    for (const name of ['mlp', 'digits-int8']) {
      const { feeds } = corpus.find((question) => question.model === name) ?? { feeds: new Map() };
      expect(await dispute(await ask(worker.url, name, feeds))).toEqual({ verdict: 'reproduced_exact' });
    }
  });
});

function mlpFeeds() {
  return new Map([
    [
      'input',
      fp32(
        [1, 10],
        Float32Array.from({ length: 10 }, (_, at) => at / 7),
      ),
    ],
  ]);
}

/** Number of answers of each model that the origin is asked for. */
const perModel = 12;

describe('answers of an origin', () => {
  it('are replayed within the tolerance: by native ONNX Runtime in Node, and by the edge’s runtime in the worker', {
    timeout: 300_000,
  }, async () => {
    const questions = Object.keys(questionCounts).flatMap((name) =>
      corpus.filter((question) => question.model === name && !isExtreme(question)).slice(0, perModel),
    );
    const asked = await askAll(questions, () => ({ tier: 'origin' }));
    expect(asked).toHaveLength(perModel * Object.keys(questionCounts).length);
    const share = new Map<string, number>();
    const furthest = new Map<string, number>();
    for (const { model: name, kept } of asked) {
      expect(kept.tier).toBe('origin');
      expect((await replayKept(kept, true)).verdict).toMatch(/^reproduced_(exact|within)$/);
      const { verdict, maxDifference = 0, tolerance = Number.POSITIVE_INFINITY } = await dispute(kept);
      expect(verdict, name).toMatch(/^reproduced_(exact|within)$/);
      share.set(name, Math.max(share.get(name) ?? 0, maxDifference / tolerance));
      furthest.set(name, Math.max(furthest.get(name) ?? 0, maxDifference));
    }
    // The tolerance is wide; the measured difference is far within it.
    expect(Math.max(...share.values())).toBeLessThan(0.2);
    for (const [name, difference] of furthest) {
      const percent = (100 * (share.get(name) ?? 0)).toFixed(2);
      console.log(`${name}: at most ${difference.toExponential(1)}, ${percent} % of what it may`);
    }
  });
});
