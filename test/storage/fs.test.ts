import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { digestOf } from '../../src/storage/digest.ts';
import { fsBlobStore, fsStateStore } from '../../src/storage/fs.ts';
import * as files from '../../src/storage/fs-files.ts';
import { keyOfOldSegment, keyOfSegment, segmentOf } from '../../src/storage/fs-keys.ts';
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

describe('fsStateStore() over a folder with foreign files', () => {
  const foreignNames = ['zzz', 'a%zz', '%', 'b~g', 'models%2Fa.json~0', '.DS_Store', 'A'.repeat(250)];

  it('ignores foreign files and folders beside its keys', async () => {
    const root = await freshRoot();
    const store = fsStateStore(root);
    await store.put('models/a.json', '1', { ifAbsent: true });
    for (const name of foreignNames) await writeFile(join(root, 'state', name), 'x');
    await mkdir(join(root, 'state', 'x%zz'));
    expect(await fsStateStore(root).list('')).toEqual(['models/a.json']);
    expect(await store.get('zzz')).toBeUndefined();
    expect(await store.getIfChanged('zzz', '1')).toBeUndefined();
    expect((await store.get('models/a.json'))?.value).toBe('1');
  });

  it('ignores foreign files and folders beside the generations of a key', async () => {
    const root = await freshRoot();
    const store = fsStateStore(root);
    const etag = (await store.put('k', '1', { ifAbsent: true })) ?? '';
    for (const name of [...foreignNames, '7', '1e3', '0000000000000002']) {
      await writeFile(join(root, 'state', 'k', name), 'x');
    }
    await mkdir(join(root, 'state', 'k', '000000000000009'));
    expect(await store.get('k')).toEqual({ value: '1', etag });
    expect(await store.list('')).toEqual(['k']);
    expect(await store.put('k', '2', { ifMatch: etag })).toBeDefined();
    expect((await store.get('k'))?.value).toBe('2');
  });
});

describe('folders of keys', () => {
  const text = fc.stringMatching(/^[A-Za-z0-9._\-/~%üÜ]{1,40}$/);

  it('differ for different keys, also if case is ignored, and can be mapped back to their key', () => {
    fc.assert(
      fc.property(text, text, (one, other) => {
        expect(keyOfSegment(segmentOf(one))).toBe(one);
        fc.pre(one !== other);
        expect(segmentOf(one).toLowerCase()).not.toBe(segmentOf(other).toLowerCase());
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{1,12}$/), fc.nat(4095), (word, bits) => {
        const other = [...word].map((c, at) => ((bits >> at) & 1 ? c.toUpperCase() : c)).join('');
        fc.pre(other !== word);
        expect(segmentOf(other).toLowerCase()).not.toBe(segmentOf(word).toLowerCase());
      }),
    );
  });

  it('fit into a file name for the longest model name', () => {
    const part = 'A'.repeat(64);
    expect(segmentOf(`removals/${part}/${part}.json`).length).toBeLessThanOrEqual(255);
  });

  it('of an older release are renamed and found', async () => {
    const root = await freshRoot();
    const before = fsStateStore(root);
    await before.put('models/Org/ResNet.json', 'upper', { ifAbsent: true });
    await before.put('models/org/resnet.json', 'lower', { ifAbsent: true });
    const state = join(root, 'state');
    await rename(join(state, segmentOf('models/Org/ResNet.json')), join(state, 'models%2FOrg%2FResNet.json'));
    const store = fsStateStore(root);
    expect((await store.get('models/Org/ResNet.json'))?.value).toBe('upper');
    expect((await store.get('models/org/resnet.json'))?.value).toBe('lower');
    expect(await store.list('models/')).toEqual(['models/Org/ResNet.json', 'models/org/resnet.json']);
    expect((await readdir(state)).map((name) => keyOfOldSegment(name))).toEqual([undefined, undefined]);
  });
});

it('a write to a full disk rejects with storage_full, and keeps the stored value', async () => {
  const root = await freshRoot();
  const blobs = fsBlobStore(root);
  const state = fsStateStore(root);
  const bytes = new Uint8Array([1, 2, 3]);
  const etag = (await state.put('k', '1', { ifAbsent: true })) ?? '';
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  const spy = vi.spyOn(files, 'writeTemporary').mockRejectedValue(full);
  try {
    await expect(blobs.put(await digestOf(bytes), bytes)).rejects.toMatchObject({
      code: 'storage_full',
      message: expect.stringContaining('blob of 3 bytes cannot be stored: the disk'),
    });
    await expect(state.put('k', '2', { ifMatch: etag })).rejects.toMatchObject({ code: 'storage_full' });
  } finally {
    spy.mockRestore();
  }
  expect(await state.get('k')).toEqual({ value: '1', etag });
  expect(await blobs.has(await digestOf(bytes))).toBe(false);
});
