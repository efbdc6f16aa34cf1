import { beforeAll, describe, expect, it } from 'vitest';
import type { ReceiptModel } from '../../../src/governance/receipt/schema.ts';
import { findStoredModel } from '../../../src/governance/replay/stored-model.ts';
import { encodeManifest } from '../../../src/repository/documents.ts';
import type { Manifest } from '../../../src/repository/schema.ts';
import { verifySignature } from '../../../src/repository/signed-version.ts';
import { trustPublishers } from '../../../src/repository/signing/publishers.ts';
import { digestOf } from '../../../src/storage/digest.ts';
import { verifyReads } from '../../../src/storage/tiered.ts';
import type { VerifiedBlobStore } from '../../../src/storage/types.ts';
import { memoryBlobStore } from '../../support/memory-stores.ts';
import { publisherName, publishers, signManifest } from '../../support/publisher.ts';
import { tinyManifest } from '../../support/tiny-model.ts';
import { digest } from '../receipt/facts.ts';

const trusted = trustPublishers(publishers);
let blobs: VerifiedBlobStore;
let manifest: Manifest;
let named: ReceiptModel;

async function store(content: Manifest): Promise<ReceiptModel> {
  const { bytes, digest: manifestDigest } = await encodeManifest(content);
  const signature = await signManifest(content);
  const bundle = await digestOf(signature);
  await blobs.put(manifestDigest, bytes);
  await blobs.put(bundle, signature);
  const { root } = await verifySignature(signature, trusted, { manifest: content, manifestDigest });
  const { name, version } = content;
  return { name, version, manifest: manifestDigest, bundle, root, signer: publisherName };
}

beforeAll(async () => {
  blobs = verifyReads(memoryBlobStore({ maxBytes: 1024 * 1024 }), { defer: (work) => void work });
  manifest = await tinyManifest(new Uint8Array([1]), {
    name: 'mlp',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
  });
  named = await store(manifest);
});

describe('findStoredModel()', () => {
  it('finds the model of a receipt by its digests', async () => {
    expect(await findStoredModel(blobs, trusted, named)).toEqual({
      manifest,
      manifestDigest: named.manifest,
    });
  });

  it('names what is missing', async () => {
    const other = await store({ ...manifest, version: '2' });
    const cases: [Partial<ReceiptModel>, RegExp][] = [
      [{ manifest: digest('0') }, /manifest of mlp@1, sha256:0+, is not stored/],
      [{ bundle: digest('0') }, /signature of mlp@1, sha256:0+, is not stored/],
      [{ root: digest('0') }, /has the root digest sha256:[0-9a-f]{64}, the receipt names sha256:0+/],
      [{ bundle: other.bundle }, /covers other files/],
      [{ version: '2' }, /is the manifest of mlp@1, not of mlp@2/],
      [{ name: 'other' }, /is the manifest of mlp@1, not of other@1/],
    ];
    for (const [changes, missing] of cases) {
      expect(await findStoredModel(blobs, trusted, { ...named, ...changes })).toEqual({
        missing: expect.stringMatching(missing),
      });
    }
  });

  it('reports a model without a trusted publisher as missing', async () => {
    expect(await findStoredModel(blobs, trustPublishers([]), named)).toEqual({
      missing: expect.stringContaining('no publisher that is trusted here'),
    });
  });

  it('throws if the store fails', async () => {
    const failing: VerifiedBlobStore = { ...blobs, get: () => Promise.reject(new Error('down')) };
    await expect(findStoredModel(failing, trusted, named)).rejects.toThrow('down');
  });
});
