/**
 * The writing side of the model repository. Everything is idempotent, and nothing is visible before it is whole: blobs
 * and manifest are stored first, under their digests, and one compare-and-swap of the index makes a version exist.
 */
import { EdgewiseError, type ErrorCode, isEdgewiseError } from '../../errors.ts';
import { digestOf } from '../../storage/digest.ts';
import type { Digest, StateStore, VerifiedBlobStore } from '../../storage/types.ts';
import type { VersionPolicy } from '../common-schema.ts';
import { encodeManifest, missingBlob, readManifest } from '../documents.ts';
import type { Manifest, ModelIndex, Shadow, Split, VersionEntry } from '../schema.ts';
import { verifyStored } from '../signed-version.ts';
import { type Publishers, type TrustedPublisher, trustPublishers } from '../signing/publishers.ts';
import { checkPushedSignature } from '../signing/pushed.ts';
import {
  emptyIndex,
  entryOfVersion,
  type NewVersion,
  versionConflict,
  withAlias,
  withdrawVersion,
  withoutAlias,
  withoutShadow,
  withoutSplit,
  withoutVersion,
  withShadow,
  withSplit,
  withVersion,
  withVersionPolicy,
  withVersionReplaced,
} from './changes.ts';
import {
  beginRemoval,
  completeRemoval,
  isRemovalInProgress,
  type Removal,
  type RemovalStores,
} from './removal.ts';
import { noSuchModel } from './served.ts';
import { changeIndex, readIndex } from './store.ts';

export const maxUploadBytes = 16 * 1024 * 1024;

/** What makes a signature that stands worthless: it is not valid, not there, or damaged. */
const unacceptable: ReadonlySet<ErrorCode> = new Set([
  'signature_invalid',
  'model_not_ready',
  'digest_mismatch',
]);

export interface PublisherOptions {
  readonly state: StateStore;
  readonly blobs: VerifiedBlobStore;
  /** Whose signatures are taken. */
  readonly publishers: readonly TrustedPublisher[];
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly wallClock?: () => number;
}

export interface PublishOptions {
  /** Set to the published version together with it. */
  readonly aliases?: readonly string[];
  readonly versionPolicy?: VersionPolicy;
}

/**
 * `unchanged`: the version stands, and remains. `replaced`: it stood without a signature that is trusted here, and was not
 * served; what was sent now, from the same inputs, stands in its place.
 */
export type PublishStatus = 'created' | 'unchanged' | 'replaced';

export class Publisher {
  readonly #stores: RemovalStores;
  readonly #publishers: Publishers;

  constructor(options: PublisherOptions) {
    const { state, blobs, wallClock = Date.now } = options;
    this.#stores = { state, blobs, wallClock };
    this.#publishers = trustPublishers(options.publishers);
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
   * @param signature The bundle, as `signModel` makes it.
   * @throws EdgewiseError `conflict` when the version is published with other content; `invalid_request` when a blob is
   * missing or has another length, or the signature is not of this version; `forbidden` when nobody who is trusted made
   * it; `overloaded` when a removal is under way: push again.
   */
  async publishVersion(
    manifest: Manifest,
    signature: Uint8Array<ArrayBuffer>,
    options: PublishOptions = {},
  ): Promise<PublishStatus> {
    const { state, blobs, wallClock } = this.#stores;
    const { name, version } = manifest;
    const { bytes, digest } = await encodeManifest(manifest);
    await checkPushedSignature(signature, this.#publishers, { manifest, manifestDigest: digest });
    await this.#checkBlobs(manifest);
    const added: NewVersion = {
      manifest,
      manifestDigest: digest,
      signature: await digestOf(signature),
      publishedAt: new Date(wallClock()).toISOString(),
    };
    const published = await readIndex(state, name);
    const standing = published && entryOfVersion(published, version);
    let status = await this.#statusOf(standing, added);
    if (status !== 'unchanged') {
      await blobs.put(digest, bytes);
      await blobs.put(added.signature, signature);
    }
    const removal = status === 'replaced' ? await this.#removalOf(name, standing, added) : undefined;

    let before: ModelIndex | undefined;
    await changeIndex(state, name, async (index) => {
      before = index;
      const base = index ?? emptyIndex(name);
      status = await this.#statusOf(entryOfVersion(base, version), added);
      let next = base;
      if (status === 'created') next = withVersion(base, added);
      if (status === 'replaced') next = withVersionReplaced(base, added);
      if (options.versionPolicy !== undefined) next = withVersionPolicy(next, options.versionPolicy);
      for (const alias of options.aliases ?? []) next = withAlias(next, alias, version);
      return next;
    });
    if (removal !== undefined) await completeRemoval(this.#stores, removal);
    if (status === 'unchanged') return status;

    const intact = !(await isRemovalInProgress(this.#stores)) && (await this.#isWhole(added));
    if (intact) return status;
    // What was replaced was not served, and neither is this while blobs of it are missing.
    if (status === 'created') await this.#withdraw(manifest, before);
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

  /**
   * What publishing `added` means where `standing` is what the index has under its number.
   *
   * @throws EdgewiseError `conflict`
   */
  async #statusOf(
    standing: VersionEntry | undefined,
    { manifest, manifestDigest }: NewVersion,
  ): Promise<PublishStatus> {
    if (standing === undefined) return 'created';
    let held: Manifest | undefined = manifest;
    if (standing.manifestDigest !== manifestDigest) {
      held = (await readManifest(this.#stores.blobs, standing.manifestDigest))?.manifest;
      if (held?.inputsDigest !== manifest.inputsDigest) throw versionConflict(manifest);
    }
    return (await this.#isAccepted(held, standing)) ? 'unchanged' : 'replaced';
  }

  async #isAccepted(manifest: Manifest, { manifestDigest, signature }: VersionEntry): Promise<boolean> {
    try {
      await verifyStored(this.#stores.blobs, this.#publishers, { manifest, manifestDigest }, signature);
      return true;
    } catch (error) {
      if (isEdgewiseError(error) && unacceptable.has(error.code)) return false;
      throw error;
    }
  }

  /** The journal for what `standing` leaves behind when `added` takes its place. */
  async #removalOf(
    name: string,
    standing: VersionEntry | undefined,
    added: NewVersion,
  ): Promise<Removal | undefined> {
    if (standing === undefined) return undefined;
    const { manifestDigest, signature } = standing;
    return beginRemoval(this.#stores, name, {
      manifests: manifestDigest === added.manifestDigest ? [] : [manifestDigest],
      signatures: signature === undefined ? [] : [signature],
    });
  }

  async #isWhole({ manifest, manifestDigest, signature }: NewVersion): Promise<boolean> {
    const { blobs } = this.#stores;
    if (!(await blobs.has(manifestDigest)) || !(await blobs.has(signature))) return false;
    return (await missingBlob(blobs, manifest)) === undefined;
  }

  /** Takes back a version that was made visible, and gives its aliases back to the versions that had them. */
  async #withdraw({ name, version }: Manifest, before: ModelIndex | undefined): Promise<void> {
    await changeIndex(this.#stores.state, name, (index) => index && withdrawVersion(index, version, before));
  }

  async #remove(name: string, selects: (version: string) => boolean): Promise<void> {
    const { state } = this.#stores;
    const selected = (index: ModelIndex | undefined) =>
      (index?.versions ?? []).filter(({ version }) => selects(version));
    const going = selected(await readIndex(state, name));
    const removal = await beginRemoval(this.#stores, name, {
      manifests: going.map(({ manifestDigest }) => manifestDigest),
      signatures: going.map(({ signature }) => signature).filter((signature) => signature !== undefined),
    });
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
