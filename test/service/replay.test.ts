/**
 * Receipts made by a real worker, and their answers computed again in Node: those of the edge bit for bit, those of an
 * origin, which runs on native ONNX Runtime, within the tolerance.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DevServer, freePort, localAdminKey } from '../../scripts/dev-server.ts';
import { newKey, type OriginServer, startOrigin } from '../../scripts/origin-server.ts';
import { publishSamples } from '../../scripts/publish-samples.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { upstreamBlobStore } from '../../src/client/upstream.ts';
import { importVerifyingKeys, type VerifyingKeys } from '../../src/governance/receipt/keys.ts';
import { readReceipt } from '../../src/governance/receipt/read.ts';
import { replay } from '../../src/governance/replay/replay.ts';
import type { Finding, ReplayMeans } from '../../src/governance/replay/types.ts';
import { createNodeReplay } from '../../src/platform/node-cli.ts';
import { trustedPublishersSchema, trustPublishers } from '../../src/repository/signing/publishers.ts';
import { type AskOptions, ask, type KeptAnswer } from '../support/answered.ts';
import { startService } from '../support/dev-service.ts';
import { type Question, questionCounts, replayCorpus } from '../support/replay-corpus.ts';

const corpus = await replayCorpus();
const cache = mkdtempSync(join(tmpdir(), 'edgewise-replay-'));
let origin: OriginServer;
let worker: DevServer;
let keys: VerifyingKeys;
let means: ReplayMeans;

beforeAll(async () => {
  const port = await freePort();
  const key = newKey();
  origin = await startOrigin({
    key,
    upstream: { url: `http://127.0.0.1:${port}`, adminKey: localAdminKey() },
    cacheDirectory: cache,
    vars: { EDGEWISE_EXECUTION_PROVIDERS: 'cpu' },
  });
  worker = await startService({
    port,
    vars: {
      EDGEWISE_EDGE_BUDGET_MS: '60000',
      EDGEWISE_EDGE_WAIT_MS: '60000',
      EDGEWISE_ORIGIN_POOL: JSON.stringify([
        { name: 'origin', url: origin.url, auth: { bearerSecret: 'EDGEWISE_TEST_ORIGIN_KEY' } },
      ]),
    },
    secrets: { EDGEWISE_TEST_ORIGIN_KEY: key },
  });
  await publishSamples(worker);
  keys = await importVerifyingKeys(await (await fetch(`${worker.url}/.well-known/jwks.json`)).json());
  means = createNodeReplay({
    blobs: upstreamBlobStore(createAdminClient({ url: worker.url, key: worker.adminKey })),
    publishers: trustPublishers(trustedPublishersSchema.parse(JSON.parse(worker.trustedPublishers))),
  });
}, 400_000);

afterAll(async () => {
  await Promise.all([worker?.stop(), origin?.stop()]);
  rmSync(cache, { recursive: true, force: true });
});

interface Asked extends Question {
  readonly kept: KeptAnswer;
}

/** A few at a time. */
async function askAll(
  questions: readonly Question[],
  options: (index: number) => AskOptions,
): Promise<readonly Asked[]> {
  const asked: Asked[] = [];
  const waiting = questions.entries();
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (const [index, { model, feeds }] of waiting) {
        asked.push({ model, feeds, kept: await ask(worker.url, model, feeds, options(index)) });
      }
    }),
  );
  return asked;
}

async function replayed({ inputs, outputs, receipt, salt }: KeptAnswer, shown = false): Promise<Finding> {
  const { receipt: read } = await readReceipt(receipt, keys);
  return replay({ receipt: read, salt, inputs, outputs: shown ? outputs : undefined }, means);
}

describe('answers of the edge', () => {
  it('are computed again in Node, bit for bit: over a thousand of all sample models', {
    timeout: 300_000,
  }, async () => {
    const began = performance.now();
    // Every tenth in JSON: the commitment is to the tensors, not to how they came.
    const asked = await askAll(corpus, (index) => ({ binary: index % 10 !== 0 }));
    const askedMs = performance.now() - began;
    const verdicts = new Map<string, number>();
    for (const { model, kept } of asked) {
      const { verdict, detail } = await replayed(kept);
      expect(kept.tier).toBe('edge');
      expect({ model, verdict, detail }).toEqual({ model, verdict: 'reproduced_exact', detail: undefined });
      verdicts.set(model, (verdicts.get(model) ?? 0) + 1);
    }
    expect(Object.fromEntries(verdicts)).toEqual(questionCounts);
    expect(asked.length).toBeGreaterThanOrEqual(1000);
    console.log(
      `${asked.length} receipts, asked in ${Math.round(askedMs)} ms, replayed in ${Math.round(performance.now() - began - askedMs)} ms`,
    );
  });
});
