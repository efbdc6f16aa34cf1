/** How a repository and a publisher verify signatures. */
import { describe, expect, it } from 'vitest';
import type { Bytes } from '../../src/bytes.ts';
import { generatePublisherKey, readSigningKey } from '../../src/cli/signing-key.ts';
import { encodeManifest } from '../../src/repository/documents.ts';
import { Publisher } from '../../src/repository/index/publisher.ts';
import { changeIndex, readIndex } from '../../src/repository/index/store.ts';
import { ModelRepository } from '../../src/repository/model-repository.ts';
import type { Manifest } from '../../src/repository/schema.ts';
import { signModel } from '../../src/repository/signing/model-signature.ts';
import type { TrustedPublisher } from '../../src/repository/signing/publishers.ts';
import { digestOf } from '../../src/storage/digest.ts';
import type { Digest } from '../../src/storage/types.ts';
import { publishers, signManifest } from '../support/publisher.ts';
import { tamperings } from '../support/tampering.ts';
import { gateStores, ManualClock, type MiniatureModel, memoryStores, miniature } from './fixtures.ts';

const acmeKey = generatePublisherKey('P-384');
const acme: TrustedPublisher = { name: 'acme', key: acmeKey.publicKey };

async function signedByAcme(manifest: Manifest): Promise<Bytes> {
  const { digest: manifestDigest } = await encodeManifest(manifest);
  return signModel({ manifest, manifestDigest }, await readSigningKey(acmeKey.privatePem));
}

function open() {
  const stores = memoryStores();
  const operations: string[] = [];
  let failing: string | undefined;
  const watched = gateStores(stores, (operation) => {
    operations.push(operation);
    if (operation === failing) throw new Error('the store is down');
  });
  const clock = new ManualClock();
  return {
    ...stores,
    clock,
    /** Returns the repository's operations since the last call. */
    operations: () => operations.splice(0),
    fail(operation: string | undefined) {
      failing = operation;
    },
    repository: (trusted = publishers) =>
      new ModelRepository({ ...watched, publishers: trusted, clock, defer: () => {} }),
    publisher: (trusted = publishers) => new Publisher({ ...stores, publishers: trusted }),
    async push(model: MiniatureModel, signature = model.signature, trusted = publishers) {
      for (const [digest, bytes] of model.blobs) await stores.blobs.put(digest, bytes);
      return new Publisher({ ...stores, publishers: trusted }).publishVersion(model.manifest, signature, {
        aliases: ['stable'],
      });
    },
    /** Replaces the signature that was checked when the version was published. */
    async swap(signature: Bytes | undefined): Promise<Digest | undefined> {
      const digest = signature && (await digestOf(signature));
      if (signature !== undefined && digest !== undefined) await stores.blobs.put(digest, signature);
      await changeIndex(
        stores.state,
        'mlp',
        (index) =>
          index && {
            ...index,
            versions: index.versions.map(({ signature: _, ...entry }) => ({
              ...entry,
              ...(digest && { signature: digest }),
            })),
          },
      );
      return digest;
    },
  };
}

const invalid = expect.objectContaining({ code: 'signature_invalid' });
const attempt = async <T>(work: () => T | Promise<T>): Promise<T> => work();

describe('ModelRepository.resolve()', () => {
  it('returns the signer, and the digests of the files and of the signature', async () => {
    const { repository, push } = open();
    const model = await miniature();
    await push(model);
    const { signed: verdict } = await repository().resolve('mlp');
    expect(verdict).toEqual({
      root: expect.stringMatching(/^sha256:/),
      bundle: await digestOf(model.signature),
      signer: 'tests',
    });
  });

  it('verifies a signature once, then answers at once and reads nothing', async () => {
    const { repository, push, operations } = open();
    await push(await miniature());
    const warm = repository();
    await warm.resolve('mlp');
    expect(operations()).toEqual(['state get', 'blob get', 'blob get']);
    for (let count = 0; count < 3; count += 1) expect(warm.resolve('mlp')).not.toBeInstanceOf(Promise);
    expect(operations()).toEqual([]);
  });

  it.each(tamperings)('refuses $name', async ({ make }) => {
    const { repository, push, swap } = open();
    const model = await miniature();
    await push(model);
    await swap(await make(model.manifest));
    await expect(repository().resolve('mlp')).rejects.toEqual(invalid);
  });

  it('refuses a version without a signature', async () => {
    const { repository, push, swap } = open();
    await push(await miniature());
    await swap(undefined);
    await expect(repository().resolve('mlp')).rejects.toMatchObject({
      code: 'signature_invalid',
      message: 'mlp@1 is not signed, and nothing unsigned is served',
    });
  });

  it('refuses a second time without reading or verifying anything', async () => {
    const { repository, push, swap, operations } = open();
    const model = await miniature();
    await push(model);
    await swap(await signedByAcme(model.manifest));
    const warm = repository();
    await expect(warm.resolve('mlp')).rejects.toEqual(invalid);
    operations();
    for (let count = 0; count < 3; count += 1) expect(() => warm.resolve('mlp')).toThrow(invalid);
    expect(operations()).toEqual([]);
  });

  it('serves no model of a publisher that is no longer trusted', async () => {
    const { repository, push } = open();
    await push(await miniature());
    await push(await miniature({ name: 'other' }), undefined);
    expect(await attempt(() => repository([...publishers, acme]).resolve('mlp'))).toBeDefined();
    for (const trusted of [[], [acme]]) {
      await expect(repository(trusted).resolve('mlp')).rejects.toEqual(invalid);
      await expect(repository(trusted).resolve('other')).rejects.toEqual(invalid);
    }
  });

  it('verifies a signature that replaces another', async () => {
    const { repository, push, swap, clock } = open();
    const model = await miniature();
    await push(model);
    await swap(undefined);
    const warm = repository();
    await expect(warm.resolve('mlp')).rejects.toEqual(invalid);
    await swap(model.signature);
    clock.advance(65_000);
    expect(await warm.resolve('mlp')).toMatchObject({ signed: { signer: 'tests' } });
    await swap(await signedByAcme(model.manifest));
    clock.advance(65_000);
    await expect(warm.resolve('mlp')).rejects.toEqual(invalid);
  });

  it('verifies a replaced signature after a deferred read of the index', async () => {
    const { push, swap, clock, state, blobs } = open();
    const model = await miniature();
    await push(model);
    const deferred: Promise<unknown>[] = [];
    const warm = new ModelRepository({
      state,
      blobs,
      publishers,
      clock,
      defer: (work) => deferred.push(work),
    });
    await warm.resolve('mlp');
    await swap(await signedByAcme(model.manifest));
    clock.advance(6000);
    expect(await warm.resolve('mlp')).toMatchObject({ signed: { signer: 'tests' } });
    await Promise.all(deferred);
    await expect(attempt(() => warm.resolve('mlp'))).rejects.toEqual(invalid);
  });

  it('takes no verdict from a failing store', async () => {
    const { repository, push, fail, blobs } = open();
    const model = await miniature();
    await push(model);
    const cold = repository();
    fail('blob get');
    await expect(attempt(() => cold.resolve('mlp'))).rejects.toThrow('the store is down');
    fail(undefined);
    const bundle = await digestOf(model.signature);
    await blobs.delete(bundle);
    await expect(attempt(() => cold.resolve('mlp'))).rejects.toMatchObject({ code: 'model_not_ready' });
    await blobs.put(bundle, model.signature);
    expect(await cold.resolve('mlp')).toMatchObject({ signed: { bundle } });
  });
});

describe('Publisher.publishVersion()', () => {
  it.each(tamperings)('refuses $name with $pushCode, and stores nothing', async ({ make, pushCode }) => {
    const { push, state, blobs } = open();
    const model = await miniature();
    const signature = await make(model.manifest);
    await expect(push(model, signature)).rejects.toMatchObject({
      code: pushCode,
      message: expect.stringMatching(/^mlp@1 cannot be published: /),
    });
    expect(await state.list('')).toEqual([]);
    expect(await blobs.has(await digestOf(signature))).toBe(false);
    expect(await blobs.has((await encodeManifest(model.manifest)).digest)).toBe(false);
  });

  it('keeps the published signature if it is valid', async () => {
    const { push, state, blobs } = open();
    const model = await miniature();
    await push(model);
    const before = await state.get('models/mlp.json');
    const other = await signManifest(model.manifest);
    expect(await push(model, other)).toBe('unchanged');
    expect(await push(await miniature({ createMs: 7 }))).toBe('unchanged');
    expect(await state.get('models/mlp.json')).toEqual(before);
    expect(await blobs.has(await digestOf(other))).toBe(false);
  });

  it.each<[string, 'same' | 'measured anew', (model: MiniatureModel) => Promise<Bytes | undefined>]>([
    ['unsigned', 'same', async () => undefined],
    ['unsigned', 'measured anew', async () => undefined],
    ['signed by a stranger', 'same', ({ manifest }) => signedByAcme(manifest)],
    ['signed by a stranger', 'measured anew', ({ manifest }) => signedByAcme(manifest)],
  ])('replaces a version that is %s with a signed one, %s', async (_, build, standing) => {
    const { push, swap, state, blobs, repository } = open();
    const model = await miniature();
    await push(model);
    await blobs.delete(await digestOf(model.signature));
    const old = await swap(await standing(model));
    const next = build === 'same' ? model : await miniature({ createMs: 7 });
    const aliases = (await readIndex(state, 'mlp'))?.aliases;
    expect(await push(next)).toBe('replaced');
    const resolved = await repository().resolve('mlp');
    expect(resolved.manifest).toEqual(next.manifest);
    expect(resolved.index.aliases).toEqual(aliases);
    expect(old !== undefined && (await blobs.has(old))).toBe(false);
    expect(await blobs.has((await encodeManifest(model.manifest)).digest)).toBe(build === 'same');
    expect(await state.list('removals/')).toEqual([]);
    expect(await push(next)).toBe('unchanged');
  });

  it('can be cut off anywhere while it replaces a version, and the next push completes it', async () => {
    const model = await miniature();
    const next = await miniature({ createMs: 7 });
    const oldDigest = (await encodeManifest(model.manifest)).digest;
    let cutOffs = 0;
    for (let lifetime = 0, died = true; died; lifetime += 1) {
      const { push, swap, state, plain, blobs, repository } = open();
      await push(model);
      await blobs.delete(await digestOf(model.signature));
      const old = await swap(await signedByAcme(model.manifest));
      let operations = 0;
      const mortal = gateStores({ state, plain }, () => {
        operations += 1;
        if (operations > lifetime) throw new Error('died');
      });
      const replaced = new Publisher({ ...mortal, publishers, wallClock: () => 0 }).publishVersion(
        next.manifest,
        next.signature,
      );
      died = await replaced.then(
        () => false,
        () => true,
      );
      if (died) cutOffs += 1;
      const later = new Publisher({ ...mortal, publishers, wallClock: () => 60_000 });
      operations = Number.NEGATIVE_INFINITY;
      const status = await later.publishVersion(next.manifest, next.signature);
      expect(['replaced', 'unchanged']).toContain(died ? status : 'unchanged');
      expect(await repository().resolve('mlp')).toMatchObject({ manifest: next.manifest });
      await later.removeModel('mlp');
      for (const digest of [old, oldDigest, await digestOf(next.signature)]) {
        expect(digest === undefined || (await blobs.has(digest)), `after ${lifetime} operations`).toBe(false);
      }
      expect(await state.list('')).toEqual([]);
      expect(lifetime).toBeLessThan(60);
    }
    expect(cutOffs).toBeGreaterThan(8);
  });

  it('withdraws the version if a removal deletes its signature at the last moment', async () => {
    const { state, plain, blobs } = open();
    const model = await miniature();
    for (const [digest, bytes] of model.blobs) await blobs.put(digest, bytes);
    const bundle = await digestOf(model.signature);
    const racing = gateStores({ state, plain }, (operation) => {
      if (operation === 'state put') void plain.delete(bundle);
    });
    await expect(
      new Publisher({ ...racing, publishers }).publishVersion(model.manifest, model.signature),
    ).rejects.toMatchObject({ code: 'overloaded' });
    expect(await state.list('')).toEqual([]);
  });

  it('does not replace a version of other content, signed or not', async () => {
    const { push, swap } = open();
    await push(await miniature());
    await swap(undefined);
    await expect(push(await miniature({ graph: 'another' }))).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('Publisher.removeVersion()', () => {
  it('deletes the signature with the version, and no other', async () => {
    const { push, publisher, blobs } = open();
    const going = await miniature();
    const staying = await miniature({ version: '2' });
    await push(going);
    await push(staying);
    await publisher().removeVersion('mlp', '1');
    expect(await blobs.has(await digestOf(going.signature))).toBe(false);
    expect(await blobs.has(await digestOf(staying.signature))).toBe(true);
    await publisher().removeModel('mlp');
    expect(await blobs.has(await digestOf(staying.signature))).toBe(false);
  });

  it('keeps the signature of a version that was published again after its removal was cut off', async () => {
    const { push, publisher, state, blobs } = open();
    const model = await miniature();
    const bundle = await digestOf(model.signature);
    await push(model);
    const { digest } = await encodeManifest(model.manifest);
    const journal = { leaseEndsAt: 0, manifests: [digest], signatures: [bundle] };
    await state.put('removals/mlp.json', JSON.stringify(journal), { ifAbsent: true });
    await publisher().removeVersion('mlp', '99');
    expect(await state.list('removals/')).toEqual([]);
    expect(await blobs.has(bundle)).toBe(true);
  });

  it('completes a removal that began before there were signatures', async () => {
    const { publisher, state, blobs } = open();
    const { manifest } = await miniature();
    const { bytes, digest } = await encodeManifest(manifest);
    await blobs.put(digest, bytes);
    await state.put('removals/mlp.json', JSON.stringify({ leaseEndsAt: 0, manifests: [digest] }), {
      ifAbsent: true,
    });
    await publisher().removeVersion('mlp', '99');
    expect(await blobs.has(digest)).toBe(false);
  });

  it('removes an unsigned version', async () => {
    const { push, swap, publisher, state } = open();
    await push(await miniature());
    await swap(undefined);
    await publisher().removeVersion('mlp', '1');
    expect(await state.list('')).toEqual([]);
  });
});
