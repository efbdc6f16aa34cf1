/**
 * The writing side of the model repository. Everything is idempotent, and nothing is visible before it is whole: blobs
 * and manifest are stored first, under their digests, and one compare-and-swap of the index makes a version exist.
 */
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { digestOf } from '../../storage/digest.ts';
import type { Digest, StateStore, VerifiedBlobStore } from '../../storage/types.ts';
import type { PublishStatus, VersionPolicy } from '../common-schema.ts';
import type { Manifest, ModelIndex, Shadow, Split } from '../schema.ts';
import { type TrustedPublisher, trustPublishers } from '../signing/publishers.ts';
import {
  withAlias,
  withoutAlias,
  withoutShadow,
  withoutSplit,
  withShadow,
  withSplit,
  withVersionPolicy,
} from './changes.ts';
import { type PublishOptions, type PublishStores, publishVersion } from './publish-version.ts';
import { removeVersions } from './removal.ts';
import { noSuchModel } from './served.ts';
import { changeIndex } from './store.ts';

export const maxUploadBytes = 16 * 1024 * 1024;

export interface PublisherOptions {
  readonly state: StateStore;
  readonly blobs: VerifiedBlobStore;
  /** Whose signatures are taken. */
  readonly publishers: readonly TrustedPublisher[];
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly wallClock?: () => number;
}

export class Publisher {
  readonly #stores: PublishStores;

  constructor(options: PublisherOptions) {
    const { state, blobs, wallClock = Date.now } = options;
    this.#stores = { state, blobs, wallClock, publishers: trustPublishers(options.publishers) };
  }

  /** In the durable tier. */
  hasBlob(digest: Digest): Promise<boolean> {
    return this.#stores.blobs.has(digest);
  }

  /** @throws EdgewiseError `too_large`; `invalid_request` when the bytes do not have the digest. */
  async putBlob(digest: Digest, bytes: Bytes): Promise<void> {
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
   * @param signature The bundle, as `signModel` makes it.
   * @throws EdgewiseError `conflict` when the version is published with other content; `invalid_request` when a blob is
   * missing or has another length, or the signature is not of this version; `forbidden` when nobody who is trusted made
   * it; `overloaded` when a removal is under way: push again.
   */
  async publishVersion(
    manifest: Manifest,
    signature: Bytes,
    options: PublishOptions = {},
  ): Promise<PublishStatus> {
    return publishVersion(this.#stores, manifest, signature, options);
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
    await removeVersions(this.#stores, name, (published) => published === version);
  }

  /** As `removeVersion`, for every version. */
  async removeModel(name: string): Promise<void> {
    await removeVersions(this.#stores, name, () => true);
  }

  async #change(name: string, change: (index: ModelIndex) => ModelIndex): Promise<void> {
    await changeIndex(this.#stores.state, name, (index) => {
      if (index === undefined) throw noSuchModel(name);
      return change(index);
    });
  }
}
