/** What tests of the publisher share. */
import { expect } from 'vitest';
import { missingBlob, readManifest } from '../../../src/repository/documents.ts';
import type { PublishOptions } from '../../../src/repository/index/publish-version.ts';
import type { Publisher } from '../../../src/repository/index/publisher.ts';
import { readIndex } from '../../../src/repository/index/store.ts';
import type { StateStore, VerifiedBlobStore } from '../../../src/storage/types.ts';
import type { MiniatureModel } from '../fixtures.ts';

export type Stores = { readonly state: StateStore; readonly blobs: VerifiedBlobStore };

export async function push(publisher: Publisher, model: MiniatureModel, options?: PublishOptions) {
  for (const [digest, bytes] of model.blobs) await publisher.putBlob(digest, bytes);
  return publisher.publishVersion(model.manifest, model.signature, options);
}

/** Expects every visible version to have its signature, the manifest that the index names, and all of its blobs. */
export async function expectWhole({ state, blobs }: Stores): Promise<void> {
  for (const key of await state.list('models/')) {
    const name = key.slice('models/'.length, -'.json'.length);
    const index = await readIndex(state, name);
    expect(index?.versions.length).toBeGreaterThan(0);
    for (const { version, manifestDigest, signature } of index?.versions ?? []) {
      expect(signature !== undefined && (await blobs.has(signature))).toBe(true);
      const read = await readManifest(blobs, manifestDigest);
      if (read === undefined) throw new Error(`expected the manifest of ${name}@${version} to be stored`);
      expect(read.manifest).toMatchObject({ name, version });
      expect(await missingBlob(blobs, read.manifest)).toBeUndefined();
    }
    const versions = index?.versions.map(({ version }) => version);
    for (const target of Object.values(index?.aliases ?? {})) expect(versions).toContain(target);
  }
}
