/**
 * The writing side of the model repository. Everything is idempotent, and nothing is visible before it is whole: blobs
 * and manifest are stored first, under their digests, and one compare-and-swap of the index makes a version exist.
 */
import { EdgewiseError } from '../errors.ts';
import { digestOf } from '../storage/digest.ts';
import type { Digest, StateStore, VerifiedBlobStore } from '../storage/types.ts';
import { encodeManifest, missingBlob, readManifest } from './documents.ts';
import {
  digestOfVersion,
  emptyIndex,
  type NewVersion,
  versionConflict,
  withAlias,
  withdrawn,
  withoutAlias,
  withoutShadow,
  withoutSplit,
  withoutVersion,
  withShadow,
  withSplit,
  withVersion,
  withVersionPolicy,
} from './index-changes.ts';
import { changeIndex, readIndex } from './index-store.ts';
import { beginRemoval, completeRemoval, type RemovalStores, removalUnderWay } from './removal.ts';
import type { Manifest, ModelIndex, Shadow, Split, VersionPolicy } from './schema.ts';
import { noSuchModel } from './served-index.ts';

export const maxUploadBytes = 16 * 1024 * 1024;

export interface PublisherOptions {
  readonly state: StateStore;
  readonly blobs: VerifiedBlobStore;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly wallClock?: () => number;
}

export interface PublishOptions {
  /** Set to the published version together with it. */
  readonly aliases?: readonly string[];
  readonly versionPolicy?: VersionPolicy;
}

export class Publisher {
  readonly #stores: RemovalStores;

  constructor(options: PublisherOptions) {
    const { state, blobs, wallClock = Date.now } = options;
    this.#stores = { state, blobs, wallClock };
  }

  /** In the durable tier. */
  hasBlob(digest: Digest): Promise<boolean> {
    return this.#stores.blobs.has(digest);
  }

  /** @throws EdgewiseError `too_large`; `invalid_request` when the bytes do not have the digest. */
  async putBlob(digest: Digest, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (bytes.byteLength > maxUploadBytes) {
      throw new EdgewiseError(
        'too_large',
        `blob of ${bytes.byteLength} bytes cannot be stored, wanted at most ${maxUploadBytes}`,
      );
    }
    const actual = await digestOf(bytes);
    if (actual !== digest) {
      throw new EdgewiseError(
        'invalid_request',
        `blob of ${bytes.byteLength} bytes was sent as ${digest}, but its digest is ${actual}`,
      );
    }
    await this.#stores.blobs.put(digest, bytes);
  }

  /**
   * Makes a version visible. Its blobs must be stored. A version that was made from the same inputs is the same one,
   * though times measured in its profile differ: what stands remains, and the answer is `unchanged`; aliases and version
   * policy are set all the same.
   *
   * @throws EdgewiseError `conflict` when the version is published with other content; `invalid_request` when a blob is
   * missing or has another length; `overloaded` when a removal is under way: push again.
   */
  async publishVersion(manifest: Manifest, options: PublishOptions = {}): Promise<'created' | 'unchanged'> {
    const { state, blobs, wallClock } = this.#stores;
    const { name, version } = manifest;
    const { bytes, digest } = await encodeManifest(manifest);
    await this.#checkBlobs(manifest);
    const published = await readIndex(state, name);
    await this.#checkConflict(published, manifest, digest);
    await blobs.put(digest, bytes);

    const added: NewVersion = {
      manifest,
      manifestDigest: digest,
      publishedAt: new Date(wallClock()).toISOString(),
    };
    let before: ModelIndex | undefined;
    await changeIndex(state, name, async (index) => {
      before = index;
      await this.#checkConflict(index, manifest, digest);
      const base = index ?? emptyIndex(name);
      let next = digestOfVersion(base, version) === undefined ? withVersion(base, added) : base;
      if (options.versionPolicy !== undefined) next = withVersionPolicy(next, options.versionPolicy);
      for (const alias of options.aliases ?? []) next = withAlias(next, alias, version);
      return next;
    });
    if (before !== undefined && digestOfVersion(before, version) !== undefined) return 'unchanged';

    const intact = !(await removalUnderWay(this.#stores)) && (await this.#isWhole(manifest, digest));
    if (intact) return 'created';
    await this.#withdraw(manifest, before);
    throw new EdgewiseError(
      'overloaded',
      `${name}@${version} was not published: blobs are being removed at the same time, push again`,
      { retryAfterSeconds: 1 },
    );
  }

  /** @throws EdgewiseError `model_not_found`, `version_not_found` */
  async setAlias(name: string, alias: string, version: string): Promise<void> {
    await this.#change(name, (index) => withAlias(index, alias, version));
  }

  async removeAlias(name: string, alias: string): Promise<void> {
    await changeIndex(this.#stores.state, name, (index) => index && withoutAlias(index, alias));
  }

  /** @throws EdgewiseError `model_not_found`; `version_not_found` when the alias or a version is not there. */
  async setSplit(name: string, alias: string, split: Split): Promise<void> {
    await this.#change(name, (index) => withSplit(index, alias, split));
  }

  async removeSplit(name: string, alias: string): Promise<void> {
    await changeIndex(this.#stores.state, name, (index) => index && withoutSplit(index, alias));
  }

  /** @throws EdgewiseError `model_not_found`; `version_not_found` when the alias or the version is not there. */
  async setShadow(name: string, alias: string, shadow: Shadow): Promise<void> {
    await this.#change(name, (index) => withShadow(index, alias, shadow));
  }

  async removeShadow(name: string, alias: string): Promise<void> {
    await changeIndex(this.#stores.state, name, (index) => index && withoutShadow(index, alias));
  }

  /** @throws EdgewiseError `model_not_found`; `version_not_found` when the policy names an unpublished version. */
  async setVersionPolicy(name: string, versionPolicy: VersionPolicy): Promise<void> {
    await this.#change(name, (index) => withVersionPolicy(index, versionPolicy));
  }

  /** @throws EdgewiseError `model_not_found` */
  async setUnloaded(name: string, unloaded: boolean): Promise<void> {
    await this.#change(name, (index) => ({ ...index, unloaded }));
  }

  /**
   * Takes a version out of service with the aliases that point to it, then deletes the blobs that nothing else needs.
   * With its last version the model goes.
   *
   * @throws EdgewiseError `overloaded` while another removal in this model is under way; `conflict` when the version was
   * published anew meanwhile.
   */
  async removeVersion(name: string, version: string): Promise<void> {
    await this.#remove(name, (published) => published === version);
  }

  /** As `removeVersion`, for every version. */
  async removeModel(name: string): Promise<void> {
    await this.#remove(name, () => true);
  }

  async #change(name: string, change: (index: ModelIndex) => ModelIndex): Promise<void> {
    await changeIndex(this.#stores.state, name, (index) => {
      if (index === undefined) throw noSuchModel(name);
      return change(index);
    });
  }

  async #checkBlobs(manifest: Manifest): Promise<void> {
    const missing = await missingBlob(this.#stores.blobs, manifest);
    if (missing === undefined) return;
    throw new EdgewiseError(
      'invalid_request',
      `${manifest.name}@${manifest.version} cannot be published: blob ${missing.digest} is not stored with its ` +
        `${missing.byteLength} bytes, wanted all blobs before the manifest`,
    );
  }

  async #checkConflict(index: ModelIndex | undefined, manifest: Manifest, digest: Digest): Promise<void> {
    const published = index && digestOfVersion(index, manifest.version);
    if (published === undefined || published === digest) return;
    const standing = await readManifest(this.#stores.blobs, published);
    if (standing?.manifest.inputsDigest !== manifest.inputsDigest) throw versionConflict(manifest);
  }

  async #isWhole(manifest: Manifest, digest: Digest): Promise<boolean> {
    const { blobs } = this.#stores;
    return (await blobs.has(digest)) && (await missingBlob(blobs, manifest)) === undefined;
  }

  /** Takes back a version that was made visible, and gives its aliases back to the versions that had them. */
  async #withdraw({ name, version }: Manifest, before: ModelIndex | undefined): Promise<void> {
    await changeIndex(this.#stores.state, name, (index) => index && withdrawn(index, version, before));
  }

  async #remove(name: string, selects: (version: string) => boolean): Promise<void> {
    const { state } = this.#stores;
    const selected = (index: ModelIndex | undefined) =>
      (index?.versions ?? []).filter(({ version }) => selects(version));
    const going = selected(await readIndex(state, name)).map(({ manifestDigest }) => manifestDigest);
    const removal = await beginRemoval(this.#stores, name, going);
    if (removal === undefined) return;
    await changeIndex(state, name, (index) => {
      let next = index;
      for (const { version, manifestDigest } of selected(index)) {
        if (!removal.manifests.includes(manifestDigest)) {
          throw new EdgewiseError('conflict', `${name}@${version} was published anew during its removal`);
        }
        next = next && withoutVersion(next, version);
      }
      return next;
    });
    await completeRemoval(this.#stores, removal);
  }
}
