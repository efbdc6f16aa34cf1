/** The model repository of a worker, read by another server: against the real app. */
import { beforeEach, describe, expect, it } from 'vitest';
import { createAccountClient } from '../../src/client/account-client.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { upstreamBlobStore, upstreamStateStore } from '../../src/client/upstream.ts';
import { ModelRepository } from '../../src/repository/model-repository.ts';
import { encodeModel, tensorTypes } from '../../src/repository/onnx/proto.ts';
import { digestOf } from '../../src/storage/digest.ts';
import { verifyReads } from '../../src/storage/tiered.ts';
import { model, value } from '../repository/onnx/models.ts';
import { ManualClock } from '../support/clock.ts';
import { publishers } from '../support/publisher.ts';
import { adminKey, callerKey, publishTiny, type TestService, testService } from '../support/services.ts';

const url = 'http://edge.test';
const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [2] });
const graph = encodeModel(
  model({
    node: [{ opType: 'Identity', input: ['x'], output: ['y'] }],
    input: [value('x', [2], tensorTypes.FLOAT)],
    output: [value('y', [2], tensorTypes.FLOAT)],
  }),
);
const publish = (name: string, aliases: readonly string[] = []) =>
  publishTiny(service, graph, { name, inputs: [spec('x')], outputs: [spec('y')] }, aliases);

let service: TestService;
beforeEach(async () => {
  service = await testService();
});

function stores(key: string = adminKey, answer?: () => Promise<Response>) {
  const send: typeof fetch = (input, init) => {
    const { pathname, search } = new URL(String(input));
    return answer === undefined ? service.fetch(pathname + search, init) : answer();
  };
  const client = createAdminClient({ url, key, fetch: send, maxAttempts: 1 });
  return { blobs: upstreamBlobStore(client), state: upstreamStateStore(client) };
}

async function repositoryKey(): Promise<string> {
  const accounts = createAccountClient({
    url,
    key: adminKey,
    fetch: (input, init) => service.fetch(new URL(String(input)).pathname, init),
  });
  await accounts.createTenant({ id: 'origin', name: 'Our own origin' });
  return (await accounts.createKey('origin', { scopes: { repository: 'read' } })).text;
}

const refused = () => Promise.reject(new TypeError('connect ECONNREFUSED'));
const answering = (status: number) => async () => Response.json({ error: 'no' }, { status });

describe('upstreamStateStore()', () => {
  it('returns the index of a model as text, with an etag that changes with it', async () => {
    const { state } = stores();
    await publish('acme/echo');
    const key = 'models/acme/echo.json';
    const first = await state.get(key);
    expect(JSON.parse(first?.value ?? '')).toMatchObject({ name: 'acme/echo', aliases: {} });
    expect(await state.getIfChanged(key, first?.etag ?? '')).toBe('unchanged');
    await service.services.publisher.setAlias('acme/echo', 'stable', '1');
    const second = await state.getIfChanged(key, first?.etag ?? '');
    expect(second).toMatchObject({ value: expect.stringContaining('"stable":"1"') });
    expect(second).not.toMatchObject({ etag: first?.etag });
  });

  it('lists the keys of all models', async () => {
    const { state } = stores();
    await publish('b');
    await publish('acme/echo');
    expect(await state.list('models/')).toEqual(['models/acme/echo.json', 'models/b.json']);
    expect(await state.list('models/acme/')).toEqual(['models/acme/echo.json']);
    expect(await state.list('')).toEqual(['models/acme/echo.json', 'models/b.json']);
    expect(await state.list('removals/')).toEqual([]);
  });

  it('returns undefined for a model that does not exist, and for keys of no index', async () => {
    const { state } = stores();
    await publish('a');
    await service.services.publisher.removeModel('a');
    expect(await state.get('models/a.json')).toBeUndefined();
    expect(await state.getIfChanged('models/a.json', 'any')).toBeUndefined();
    expect(await state.get('models/never.json')).toBeUndefined();
    expect(await state.get('removals/a.json')).toBeUndefined();
  });

  it.each([
    ['cannot be reached', refused],
    ['has failed', answering(500)],
    ['has too much to do', answering(429)],
  ])('throws a plain Error if the server %s', async (_, answer) => {
    const { state } = stores(adminKey, answer);
    for (const read of [state.get('models/a.json'), state.list('models/')]) {
      const error: unknown = await read.catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ name: 'Error', cause: { name: 'EdgewiseError' } });
    }
  });

  it.each([
    ['an unknown key', 'ew_nobody'],
    ['the key of a caller', callerKey],
  ])('throws model_not_ready without naming keys for %s', async (_, key) => {
    const { state } = stores(key);
    await publish('a');
    for (const read of [state.get('models/a.json'), state.list('models/')]) {
      const error: unknown = await read.catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'model_not_ready', retryAfterSeconds: 30 });
      expect(String(error)).not.toMatch(/key|admin/);
    }
  });

  it('rejects writes', async () => {
    const { state } = stores();
    await publish('a');
    const writes = [
      state.put('models/a.json', '{}', { ifAbsent: true }),
      state.delete('models/a.json', { ifMatch: '' }),
    ];
    for (const write of writes) await expect(write).rejects.toMatchObject({ code: 'forbidden' });
    expect(await state.get('models/a.json')).toBeDefined();
  });
});

describe('upstreamBlobStore()', () => {
  it('returns the bytes that the server has, else undefined', async () => {
    const { blobs } = stores();
    const bytes = Uint8Array.of(1, 2, 3);
    const digest = await digestOf(bytes);
    expect(await blobs.get(digest)).toBeUndefined();
    expect(await blobs.has(digest)).toBe(false);
    await service.services.publisher.putBlob(digest, bytes);
    expect(await blobs.get(digest)).toEqual(bytes);
    expect(await blobs.has(digest)).toBe(true);
  });

  it.each([
    ['cannot be reached', adminKey, refused],
    ['does not know the key', 'ew_nobody', undefined],
  ])('throws model_not_ready without naming the server if it %s', async (_, key, answer) => {
    const { blobs } = stores(key, answer);
    const digest = await digestOf(Uint8Array.of(1));
    for (const read of [blobs.get(digest), blobs.has(digest)]) {
      const error: unknown = await read.catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'model_not_ready' });
      expect(String(error)).not.toContain('edge.test');
    }
  });

  it('rejects writes', async () => {
    const { blobs } = stores();
    const bytes = Uint8Array.of(1);
    const digest = await digestOf(bytes);
    for (const write of [blobs.put(digest, bytes), blobs.delete(digest)]) {
      await expect(write).rejects.toMatchObject({ code: 'forbidden' });
    }
    expect(await blobs.has(digest)).toBe(false);
  });
});

describe('ModelRepository over an upstream', () => {
  it.each([
    ['the admin key', async () => adminKey],
    ['a key for reading the repository', repositoryKey],
  ])('resolves the models of the server with %s, and follows an alias that moves', async (_, key) => {
    const { blobs, state } = stores(await key());
    const clock = new ManualClock();
    const defer = (work: Promise<unknown>) => void work;
    const repository = new ModelRepository({
      state,
      blobs: verifyReads(blobs, { defer }),
      publishers,
      clock,
      defer,
      staleWhileRevalidateMs: 0,
    });
    const manifest = await publish('acme/echo', ['stable']);
    const resolved = await repository.resolve('acme/echo');
    expect(resolved.manifest).toEqual(manifest);
    await service.services.publisher.removeAlias('acme/echo', 'stable');
    await service.services.publisher.setAlias('acme/echo', 'canary', '1');
    clock.advance(5000);
    expect(await repository.resolve('acme/echo', 'canary')).toMatchObject({
      index: { aliases: { canary: '1' } },
    });
    expect(await repository.names()).toEqual(['acme/echo']);
  });
});
