/**
 * The writing side of the model repository. Every operation is idempotent, and a version becomes visible only when it is
 * complete: blobs and manifest are stored first, under their digests, and one compare-and-swap of the index publishes it.
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
  /** Publishers whose signatures are accepted. */
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

  /** Reports whether the durable tier has the blob. */
  hasBlob(digest: Digest): Promise<boolean> {
    return this.#stores.blobs.has(digest);
  }

  /** @throws EdgewiseError `too_large` above 16 MiB; `invalid_request` if the bytes do not have the digest. */
  async putBlob(digest: Digest, bytes: Bytes): Promise<void> {
    if (bytes.byteLength > maxUploadBytes) {
      throw new EdgewiseError(
        'too_large',
        `blob of ${bytes.byteLength} bytes cannot be stored; expected at most ${maxUploadBytes}`,
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
   * Publishes a version whose blobs are stored. A version made from the same inputs counts as the same one, even if the
   * times measured in its profile differ: the published one stays, and the result is `unchanged`. Aliases and version
   * policy are set in every case.
   *
   * @param signature The bundle, as `signModel` makes it.
   * @throws EdgewiseError `conflict` if the version is published with other content; `invalid_request` if a blob is missing
   * or has another length, or the signature is for another version; `forbidden` if no trusted publisher made the signature;
   * `overloaded` while a removal is under way: push again.
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

  /** @throws EdgewiseError `model_not_found`; `version_not_found` if the alias or a version does not exist. */
  async setSplit(name: string, alias: string, split: Split): Promise<void> {
    await this.#change(name, (index) => withSplit(index, alias, split));
  }

  async removeSplit(name: string, alias: string): Promise<void> {
    await changeIndex(this.#stores.state, name, (index) => index && withoutSplit(index, alias));
  }

  /** @throws EdgewiseError `model_not_found`; `version_not_found` if the alias or the version does not exist. */
  async setShadow(name: string, alias: string, shadow: Shadow): Promise<void> {
    await this.#change(name, (index) => withShadow(index, alias, shadow));
  }

  async removeShadow(name: string, alias: string): Promise<void> {
    await changeIndex(this.#stores.state, name, (index) => index && withoutShadow(index, alias));
  }

  /** @throws EdgewiseError `model_not_found`; `version_not_found` if the policy names an unpublished version. */
  async setVersionPolicy(name: string, versionPolicy: VersionPolicy): Promise<void> {
    await this.#change(name, (index) => withVersionPolicy(index, versionPolicy));
  }

  /** @throws EdgewiseError `model_not_found` */
  async setUnloaded(name: string, unloaded: boolean): Promise<void> {
    await this.#change(name, (index) => ({ ...index, unloaded }));
  }

  /**
   * Removes a version and the aliases that point to it, then deletes the blobs that no other version needs. A model without
   * versions is removed as a whole.
   *
   * @throws EdgewiseError `overloaded` while another removal in this model is under way; `conflict` if the version was
   * published again meanwhile.
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
