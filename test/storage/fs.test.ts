import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import { fsBlobStore, fsStateStore } from '../../src/storage/fs.ts';
import { blobStoreContract } from './blob-contract.ts';
import { stateStoreContract } from './state-contract.ts';

const roots: string[] = [];

async function freshRoot(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'edgewise-fs-'));
  roots.push(root);
  return root;
}

afterEach(async () => {
  for (const root of roots.splice(0)) await rm(root, { recursive: true });
});

blobStoreContract('fs', async () => fsBlobStore(await freshRoot()));

stateStoreContract(
  'fs',
  async () => {
    const root = await freshRoot();
    return [fsStateStore(root), fsStateStore(root)];
  },
  { numRuns: 15 },
);

it('fsBlobStore() refuses a digest that would leave its directory', async () => {
  const store = fsBlobStore(await freshRoot());
  await expect(store.get('sha256:../../../etc/passwd')).rejects.toMatchObject({ code: 'invalid_request' });
});

it.each(['../escape', '..', '.', '/etc/x', 'a/../../b', '%2e%2e/x'])(
  'fsStateStore() keeps the key %j inside its directory',
  async (key) => {
    const root = await freshRoot();
    const store = fsStateStore(join(root, 'inner'));
    await store.put(key, 'value', { ifAbsent: true });
    expect(await readdir(root)).toEqual(['inner']);
    expect(await store.list('')).toEqual([key]);
    expect((await store.get(key))?.value).toBe('value');
  },
);

it('fsStateStore() leaves no temporary file and a bounded number of generations', async () => {
  const root = await freshRoot();
  const store = fsStateStore(root);
  let etag = await store.put('k', '0', { ifAbsent: true });
  for (let write = 1; write < 40; write += 1) {
    etag = await store.put('k', String(write), { ifMatch: etag ?? '' });
  }
  expect(etag).toBeDefined();
  expect(await readdir(join(root, 'temporary'))).toEqual([]);
  expect((await readdir(join(root, 'state', 'k'))).length).toBeLessThanOrEqual(16);
  expect((await store.get('k'))?.value).toBe('39');
});

it('fsStateStore() loses no increment of counters in several processes', async () => {
  const root = await freshRoot();
  const increments = 15;
  const module = new URL('../../src/storage/fs.ts', import.meta.url);
  const script = `
    import { fsStateStore } from ${JSON.stringify(module.href)};
    const store = fsStateStore(${JSON.stringify(root)});
    for (let done = 0; done < ${increments}; ) {
      const entry = await store.get('counter');
      const next = String(Number(entry.value) + 1);
      if ((await store.put('counter', next, { ifMatch: entry.etag })) !== undefined) done += 1;
    }`;
  await fsStateStore(root).put('counter', '0', { ifAbsent: true });
  const run = promisify(execFile);
  await Promise.all([1, 2, 3].map(() => run(process.execPath, ['--input-type=module', '-e', script])));
  expect((await fsStateStore(root).get('counter'))?.value).toBe(String(3 * increments));
});
