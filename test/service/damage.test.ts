/** Flipped bits in stored blobs, tier by tier, under a running worker: corrupt bytes are never used in a computation. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type DevServer, startDevServer } from '../../scripts/dev-server.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { createInferenceClient } from '../../src/client/inference-client.ts';
import type { Digest } from '../../src/storage/types.ts';
import { fp32, fp32Output } from '../support/run.ts';
import { startCommand } from './command-line.ts';
import { chainModel, chainWidth, writeModelFolder } from './model-folders.ts';
import { copiesIn, flipBit, type SimulatedTier } from './stored-copies.ts';

const tiers: readonly SimulatedTier[] = ['cache', 'kv', 'r2'];
const x = fp32(
  [1, chainWidth],
  Float32Array.from({ length: chainWidth }, (_, i) => 1e5 * Math.sin(i)),
);

let folder: string;
let state: string;
let server: DevServer;
/** A chunk of the weights, and the answer of the whole model. */
let chunk: Digest;
let right: Float32Array;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'edgewise-damage-'));
  state = join(folder, 'state');
  server = await startDevServer({ persistTo: state });
  const model = join(folder, 'chain');
  writeModelFolder(model, chainModel(1), { name: 'chain' });
  expect((await edgewise('push', model)).code).toBe(0);
  const admin = createAdminClient({ url: server.url, key: server.adminKey });
  const { manifest } = await admin.version('chain', '1');
  chunk = manifest.weights?.chunks[1]?.digest ?? 'sha256:';
  right = await infer();
  await copiesEverywhere();
});
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const edgewise = (...args: string[]) => startCommand(['model', ...args], server).ended;

async function infer(): Promise<Float32Array> {
  const client = createInferenceClient({ url: server.url, maxAttempts: 1 });
  return fp32Output((await client.infer({ name: 'chain' }, new Map([['x', x]]))).outputs, 'y').data;
}

/** Unloads the model from the isolate's memory and loads it from storage. Returns the answer to the load. */
async function forget(): Promise<Response> {
  await control('unload');
  return control('load');
}

function control(verb: 'load' | 'unload'): Promise<Response> {
  const headers = { Authorization: `Bearer ${server.adminKey}` };
  return fetch(`${server.url}/v2/repository/models/chain/${verb}`, { method: 'POST', headers });
}

/** Waits until every tier has a good copy: filling and repair continue after the answer. */
function copiesEverywhere(): Promise<void> {
  return vi.waitFor(() => {
    expect(tiers.map((tier) => copiesIn(state, tier, chunk).length)).toEqual([1, 1, 1]);
  }, 10_000);
}

function damage(damaged: readonly SimulatedTier[]): void {
  for (const tier of damaged) {
    const [path = ''] = copiesIn(state, tier, chunk);
    flipBit(path);
  }
}

describe('a bit that flips', () => {
  it.each([
    ['in the cache', ['cache']],
    ['in KV, seen once the cache has lost its copy', ['cache', 'kv']],
  ] as const)('%s is repaired from the tier below', async (_, damaged) => {
    damage(damaged);
    await forget();
    expect(await infer()).toEqual(right);
    await copiesEverywhere();
  });

  it('in R2 does not matter while a faster tier has the right bytes', async () => {
    const [path = ''] = copiesIn(state, 'r2', chunk);
    flipBit(path);
    await forget();
    expect(await infer()).toEqual(right);
    flipBit(path);
  });

  it('in every tier is reported by verify, and repaired by another push', async () => {
    damage(tiers);
    const verified = await edgewise('verify', 'chain');
    expect(verified.code).toBe(1);
    expect(verified.stderr).toMatch(
      /chunk 1 of the weights of chain@1, .* is stored with other bytes\n {2}code: digest_mismatch\n {2}next: push/,
    );

    // A corrupt copy is deleted, so from here on the blob is missing.
    await vi.waitFor(async () => {
      const again = await edgewise('verify', 'chain');
      expect(again.stderr).toMatch(
        /chunk 1 of the weights of chain@1, .* is not stored\n {2}code: digest_mismatch/,
      );
    }, 10_000);
    expect((await forget()).status).toBe(503);
    await expect(infer()).rejects.toMatchObject({ code: 'model_not_ready' });

    const pushed = await edgewise('push', join(folder, 'chain'));
    expect(pushed.stdout).toMatch(/^chain@1 unchanged: 1\.0 MiB in 1 blobs uploaded/);
    expect(await infer()).toEqual(right);
    expect((await edgewise('verify', 'chain')).code).toBe(0);
  });

  it('in every tier keeps the model from being loaded', async () => {
    damage(tiers);
    const load = await forget();
    expect([load.status, await load.json()]).toEqual([
      500,
      { error: 'the stored model failed its integrity check and was not used' },
    ]);
  });
});
