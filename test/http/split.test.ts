import { createHash } from 'node:crypto';
import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { authenticate } from '../../src/http/caller/authenticate.ts';
import type { AppEnv } from '../../src/http/context.ts';
import { splitTarget, stickyKeyOf } from '../../src/http/infer/resolve.ts';
import { readConfig } from '../../src/platform/config.ts';
import { emptyIndex } from '../../src/repository/index/changes.ts';
import type { ResolvedModel } from '../../src/repository/model-repository.ts';
import type { ModelIndex } from '../../src/repository/schema.ts';
import { miniature } from '../repository/fixtures.ts';
import { testGovernanceBindings } from '../support/governance-keys.ts';
import { signedBy } from '../support/publisher.ts';
import { adminKey, callerKey } from '../support/services.ts';

const sha256 = (key: string) => createHash('sha256').update(key).digest('hex');

/** The sticky key that a request with these headers gets. */
async function stickyKey(headers: Record<string, string>): Promise<string> {
  const { http } = readConfig({
    ...testGovernanceBindings,
    EDGEWISE_ADMIN_KEY_SHA256: sha256(adminKey),
    EDGEWISE_CALLER_KEYS_SHA256: sha256(callerKey),
  });
  const app = new Hono<AppEnv>().get('/', async (c) => {
    c.set('requestId', 'the request');
    const caller = await authenticate(c.req, { settings: http });
    return c.text(stickyKeyOf(caller, c));
  });
  return (await app.request('/', { headers })).text();
}

describe('stickyKeyOf()', () => {
  it("is the head of the hash of the caller's key, even if the caller names a session", async () => {
    for (const key of [callerKey, adminKey]) {
      const authorization = `Bearer ${key}`;
      expect(await stickyKey({ authorization })).toBe(sha256(key).slice(0, 16));
      expect(await stickyKey({ authorization, 'x-session-id': 'mine' })).toBe(sha256(key).slice(0, 16));
    }
  });

  it('is the session of a caller without a key, else the request id', async () => {
    expect(await stickyKey({ 'x-session-id': 'a1:B2-c3' })).toBe('a1:B2-c3');
    expect(await stickyKey({})).toBe('the request');
  });

  it('is the request id for a session that is too long or malformed', async () => {
    for (const session of ['x'.repeat(129), 'two words', '"quoted"']) {
      expect(await stickyKey({ 'x-session-id': session })).toBe('the request');
    }
  });
});

const { manifest } = await miniature();

function model(changes: Partial<ModelIndex>, name = 'mlp'): ResolvedModel {
  const index = { ...emptyIndex(name), aliases: { stable: '1', canary: '2' }, ...changes };
  return { manifest, manifestDigest: manifest.sourceDigest, index, signed: signedBy(manifest.sourceDigest) };
}

const halves = {
  arms: [
    { version: '1', percent: 50 },
    { version: '2', tier: 'origin' as const, percent: 50 },
  ],
};
const callers = Array.from({ length: 400 }, (_, index) => `caller ${index}`);

describe('splitTarget()', () => {
  it('divides callers by the split of the alias that they name, with its tier', () => {
    const split = model({ splits: { canary: halves } });
    const targets = callers.map((caller) => splitTarget(split, 'canary', caller));
    expect(new Set(targets)).toEqual(new Set(halves.arms));
  });

  it('uses the split of stable for requests without an alias', () => {
    const split = model({ splits: { stable: halves } });
    for (const caller of callers) {
      expect(splitTarget(split, undefined, caller)).toBe(splitTarget(split, 'stable', caller));
    }
  });

  it('is undefined for versions, other aliases, and models without splits', () => {
    expect(splitTarget(model({}), undefined, 'caller')).toBeUndefined();
    const split = model({ splits: { canary: halves } });
    for (const alias of [undefined, 'stable', '1', '2', 'constructor']) {
      expect(splitTarget(split, alias, 'caller')).toBeUndefined();
    }
  });

  it('divides callers differently for each model and alias', () => {
    const splits = { stable: halves, canary: halves };
    const mine = callers.map((caller) => splitTarget(model({ splits }), 'stable', caller)?.version);
    const same = (others: readonly (string | undefined)[]) =>
      others.filter((version, index) => version === mine[index]).length;
    expect(same(callers.map((caller) => splitTarget(model({ splits }), 'stable', caller)?.version))).toBe(
      400,
    );
    for (const other of [
      callers.map((caller) => splitTarget(model({ splits }), 'canary', caller)?.version),
      callers.map((caller) => splitTarget(model({ splits }, 'other'), 'stable', caller)?.version),
    ]) {
      // Of two fair divisions half the callers agree: 200 ± 5 standard deviations.
      expect(same(other)).toBeGreaterThan(150);
      expect(same(other)).toBeLessThan(250);
    }
  });
});
