/** A manifest from before manifests had terms is not served, but can be removed. */
import { beforeEach, describe, expect, it } from 'vitest';
import { readManifest, readReferences } from '../../src/repository/documents.ts';
import { Publisher } from '../../src/repository/index/publisher.ts';
import { indexKey } from '../../src/repository/keys.ts';
import { ModelRepository } from '../../src/repository/model-repository.ts';
import { digestOf } from '../../src/storage/digest.ts';
import type { Digest } from '../../src/storage/types.ts';
import { publishers } from '../support/publisher.ts';
import { licenceDigest } from '../support/terms.ts';
import { bytesOf, ManualClock, memoryStores, miniature } from './fixtures.ts';

let stores: ReturnType<typeof memoryStores>;
let legacy: Digest;
let graph: Digest;

beforeEach(async () => {
  stores = memoryStores();
  const { manifest, blobs } = await miniature({ name: 'old' });
  const { terms: _, ...rest } = manifest;
  const bytes = bytesOf(JSON.stringify({ ...rest, creator: 'c', licence: 'MIT' }));
  legacy = await digestOf(bytes);
  graph = manifest.graph.digest;
  await stores.blobs.put(legacy, bytes);
  for (const [digest, blob] of blobs) await stores.blobs.put(digest, blob);
  const index = {
    schema: 'edgewise.index.v1',
    name: 'old',
    versions: [{ version: '1', manifestDigest: legacy, publishedAt: '2026-01-01T00:00:00Z' }],
    aliases: {},
    versionPolicy: { latest: { numVersions: 1 } },
    unloaded: false,
  };
  await stores.state.put(indexKey('old'), JSON.stringify(index), { ifAbsent: true });
});

describe('a manifest without terms', () => {
  it('is refused with an error that says what to do', async () => {
    await expect(readManifest(stores.blobs, legacy)).rejects.toMatchObject({
      code: 'policy_refused',
      message: expect.stringMatching(/without terms.*publish it as a new version/),
    });
    const repository = new ModelRepository({
      state: stores.state,
      blobs: stores.blobs,
      publishers,
      clock: new ManualClock(),
      defer: () => {},
    });
    await expect(repository.resolve('old')).rejects.toMatchObject({ code: 'policy_refused' });
  });

  it('is removed with its blobs, and does not block the removal of other models', async () => {
    const publisher = new Publisher({ ...stores, publishers });
    const other = await miniature({ name: 'other', graph: 'another graph' });
    for (const [digest, blob] of other.blobs) await stores.blobs.put(digest, blob);
    await publisher.publishVersion(other.manifest, other.signature);
    await publisher.removeVersion('other', '1');
    expect(await stores.blobs.has(graph)).toBe(true);
    const references = await readReferences(stores.blobs, legacy);
    expect(references?.map(({ digest }) => digest)).toContain(graph);
    expect(references?.map(({ digest }) => digest)).not.toContain(licenceDigest);
    await publisher.removeVersion('old', '1');
    expect(await stores.blobs.has(graph)).toBe(false);
    expect(await stores.blobs.has(legacy)).toBe(false);
  });
});

describe('a licence text', () => {
  it('is a blob of the version: required to publish it, and removed with the last version that has it', async () => {
    const publisher = new Publisher({ ...stores, publishers });
    const { manifest, blobs, signature } = await miniature({ name: 'licensed' });
    for (const [digest, blob] of blobs) if (digest !== licenceDigest) await stores.blobs.put(digest, blob);
    await stores.blobs.delete(licenceDigest);
    await expect(publisher.publishVersion(manifest, signature)).rejects.toMatchObject({
      code: 'invalid_request',
    });
    const text = blobs.get(licenceDigest);
    await publisher.putBlob(licenceDigest, text ?? bytesOf(''));
    await publisher.publishVersion(manifest, signature);
    await publisher.removeModel('licensed');
    expect(await stores.blobs.has(licenceDigest)).toBe(false);
  });
});
