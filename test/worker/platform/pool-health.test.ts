/** The cron trigger, and isolates that read its results, over the real KV of workerd. */
import { env } from 'cloudflare:workers';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { probePool, readPoolHealth } from '../../../src/platform/cloudflare-pool-health.ts';
import { readConfig } from '../../../src/platform/config.ts';
import { testGovernanceBindings } from '../../support/governance-keys.ts';

const key = 'pool/health.json';
const pool = JSON.stringify([
  { name: 'one', url: 'https://one.test' },
  { name: 'two', url: 'https://two.test' },
]);
const config = readConfig({ ...testGovernanceBindings, EDGEWISE_ORIGIN_POOL: pool, EDGEWISE_LOG: 'off' });

let down: ReadonlySet<string>;
beforeEach(async () => {
  down = new Set();
  await env.BLOBS.delete(key);
  vi.stubGlobal('fetch', (url: string) => {
    const { host, pathname } = new URL(url);
    if (down.has(host)) return Promise.reject(new Error('connection refused'));
    return Promise.resolve(
      pathname === '/v2'
        ? Response.json({ name: 'triton', version: '2.60', extensions: ['binary_tensor_data'] })
        : new Response('{}'),
    );
  });
});
afterEach(() => void vi.unstubAllGlobals());

describe('probePool()', () => {
  it('stores its results in KV', async () => {
    down = new Set(['two.test']);
    await probePool(env, config);
    expect((await readPoolHealth(env.BLOBS))?.endpoints).toMatchObject({
      one: { state: 'up', capabilities: { binary: true, server: 'triton 2.60' } },
      two: { state: 'down' },
    });
  });

  it('writes only changed results', async () => {
    await probePool(env, config);
    const put = vi.spyOn(env.BLOBS, 'put');
    await probePool(env, config);
    expect(put).not.toHaveBeenCalled();
    down = new Set(['one.test']);
    await probePool(env, config);
    expect(put).toHaveBeenCalledOnce();
    put.mockRestore();
  });

  it('does nothing without a pool', async () => {
    await probePool(env, readConfig(testGovernanceBindings));
    expect(await env.BLOBS.get(key)).toBeNull();
  });
});

describe('readPoolHealth()', () => {
  it.each(['{"half":', '{"schema":"another"}', '[]'])('returns undefined for %s', async (stored) => {
    await env.BLOBS.put(key, stored);
    expect(await readPoolHealth(env.BLOBS)).toBeUndefined();
  });

  it('returns undefined for results that are too old', async () => {
    const checkedAt = new Date(Date.now() - 3_600_000).toISOString();
    const old = {
      schema: 'edgewise.pool-health.v1',
      checkedAt,
      endpoints: { one: { state: 'down', since: checkedAt } },
    };
    await env.BLOBS.put(key, JSON.stringify(old));
    expect(await readPoolHealth(env.BLOBS)).toBeUndefined();
  });
});
