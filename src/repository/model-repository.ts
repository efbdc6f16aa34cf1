/**
 * Published models, as requests see them. Indexes are kept in memory: answered from for `indexMaxAgeMs`, then for
 * `staleWhileRevalidateMs` more while a deferred read brings the new one; an older index is read again first. Manifests
 * never change, so they are kept as long as there is room, together with the verdict on their signature. Only versions that
 * a trusted publisher has signed are resolved.
 */
import type { Clock } from '../async/clock.ts';
import { Lru } from '../async/lru.ts';
import { EdgewiseError, isEdgewiseError } from '../errors.ts';
import { DocumentCache } from '../storage/document-cache.ts';
import type { Defer, Digest, StateStore, VerifiedBlobStore } from '../storage/types.ts';
import { decodeIndex, readManifest, type StoredManifest } from './documents.ts';
import { ModelListing, type ModelPage, type PageOptions } from './index/listing.ts';
import {
  findPublishedEntry,
  findServedEntry,
  noSuchModel,
  noSuchVersion,
  resolveAlias,
  type ServedIndex,
  serveIndex,
  toNotReadyError,
} from './index/served.ts';
import { indexKey } from './keys.ts';
import { isModelName } from './name.ts';
import type { Manifest, ModelIndex, VersionEntry } from './schema.ts';
import { type Signed, verifyStored } from './signed-version.ts';
import { type Publishers, type TrustedPublisher, trustPublishers } from './signing/publishers.ts';

/** Length of the text of the indexes, and of the manifests, in memory; parsed, they take a few times as much. */
const maxIndexBytes = 1024 * 1024;
const maxManifestBytes = 2 * 1024 * 1024;
/** Names without a model that are remembered: enough for honest mistakes, and a bound for made-up names. */
const maxUnknownNames = 256;
/** A deferred read that is not back by then has died with its request; the next one may try. */
const refreshPatienceMs = 10_000;

export interface ModelRepositoryOptions {
  readonly state: StateStore;
  readonly blobs: VerifiedBlobStore;
  readonly clock: Clock;
  readonly defer: Defer;
  /** Publishers whose signatures count. Without any, no model is served. */
  readonly publishers: readonly TrustedPublisher[];
  /** Default 5000. */
  readonly indexMaxAgeMs?: number;
  /** Default 60,000. */
  readonly staleWhileRevalidateMs?: number;
}

export interface ResolvedModel extends StoredManifest {
  readonly index: ModelIndex;
  readonly signed: Signed;
}

export interface StoredVersion extends StoredManifest {
  /** Digest of the signature bundle. */
  readonly signature: Digest | undefined;
}

interface CachedManifest {
  readonly manifest: Manifest;
  /** Owned by `#verify`: the verdict on the signature that the index last named for the manifest. */
  verdict: SignatureVerdict | undefined;
}

/** Neither the signature nor the manifest ever changes, so a verdict holds as long as this process. */
type SignatureVerdict = { readonly bundle: Digest | undefined } & (
  | { readonly signed: Signed }
  | { readonly refusal: string }
);

export class ModelRepository {
  readonly #blobs: VerifiedBlobStore;
  readonly #clock: Clock;
  readonly #defer: Defer;
  readonly #maxAgeMs: number;
  readonly #maxStaleMs: number;
  readonly #indexes: DocumentCache<ServedIndex>;
  readonly #manifests = new Lru<Digest, CachedManifest>({ maxBytes: maxManifestBytes });
  /** Publishers whose signatures count. */
  readonly publishers: Publishers;
  readonly #listing: ModelListing;

  constructor(options: ModelRepositoryOptions) {
    const { state, blobs, clock, defer } = options;
    this.#blobs = blobs;
    this.#clock = clock;
    this.#defer = defer;
    this.publishers = trustPublishers(options.publishers);
    this.#maxAgeMs = options.indexMaxAgeMs ?? 5000;
    this.#maxStaleMs = this.#maxAgeMs + (options.staleWhileRevalidateMs ?? 60_000);
    this.#indexes = new DocumentCache({
      state,
      clock,
      keyOf: indexKey,
      decode: (name, text) => serveIndex(decodeIndex(name, text)),
      maxTextLength: maxIndexBytes,
      maxUnknown: maxUnknownNames,
    });
    this.#listing = new ModelListing({ state, clock, defer, maxAgeMs: this.#maxAgeMs });
  }

  /**
   * Returns the version of `name` to serve: the requested number or alias, else the default version. If everything is in
   * memory, it answers (or throws) at once, not by a promise.
   *
   * @throws EdgewiseError `model_not_found`, `version_not_found`; `model_not_ready` if the model is unloaded or the
   * repository cannot be read; `signature_invalid` unless a trusted publisher has signed exactly this version.
   */
  resolve(name: string, versionOrAlias?: string): ResolvedModel | Promise<ResolvedModel> {
    const cached = this.#findIndex(name);
    if (cached === undefined) return this.#resolveFromStore(name, versionOrAlias);
    const entry = findServedEntry(cached, versionOrAlias);
    const known = this.#manifests.get(entry.manifestDigest);
    const verdict = known?.verdict;
    if (known === undefined || verdict === undefined || verdict.bundle !== entry.signature) {
      return this.#resolveFromStore(name, versionOrAlias);
    }
    const { manifestDigest } = entry;
    return { manifest: known.manifest, manifestDigest, index: cached.index, signed: requireSigned(verdict) };
  }

  /** As `resolve`, for unloaded models too: for descriptions of the model, and for its files. */
  resolvePublished(name: string, versionOrAlias?: string): Promise<ResolvedModel> {
    return this.#resolveFromStore(name, versionOrAlias, findPublishedEntry);
  }

  /** @throws EdgewiseError `model_not_found`, `model_not_ready` */
  index(name: string): ModelIndex | Promise<ModelIndex> {
    return this.#findIndex(name)?.index ?? this.#readIndex(name).then(({ index }) => index);
  }

  /**
   * Returns any published version, served or not, loaded or not, by number or alias. Its signature is not verified.
   *
   * @throws EdgewiseError `model_not_found`, `version_not_found`, `model_not_ready`
   */
  async version(name: string, versionOrAlias: string): Promise<StoredVersion> {
    const { index } = this.#findIndex(name) ?? (await this.#readIndex(name));
    const version = resolveAlias(index, versionOrAlias);
    const entry = index.versions.find((each) => each.version === version);
    if (entry === undefined) throw noSuchVersion(index, versionOrAlias);
    const { manifestDigest, signature } = entry;
    return { manifest: (await this.#readManifest(name, manifestDigest)).manifest, manifestDigest, signature };
  }

  /** Returns all models, by name. `names()` is cheaper if names are enough. @throws EdgewiseError as `page` */
  async list(): Promise<readonly ModelIndex[]> {
    const indexes: ModelIndex[] = [];
    let after: string | undefined;
    do {
      const page = await this.page({ after });
      indexes.push(...page.indexes);
      after = page.next;
    } while (after !== undefined);
    return indexes;
  }

  /**
   * Returns up to a thousand models, by name. A recent listing is answered from memory; otherwise the store is listed once,
   * however many models it has, and each index that changed since is read.
   *
   * @throws EdgewiseError `model_not_ready` if the repository cannot be read, or its listing is still being built.
   */
  async page(options: PageOptions): Promise<ModelPage> {
    try {
      return await this.#listing.page(options);
    } catch (error) {
      throw toNotReadyError(error);
    }
  }

  /**
   * Returns the names of all models, ascending, from memory or by one listing of the store.
   *
   * @throws EdgewiseError `model_not_ready` if the repository cannot be read.
   */
  async names(): Promise<readonly string[]> {
    try {
      return await this.#listing.names();
    } catch (error) {
      throw toNotReadyError(error);
    }
  }

  /** Updates the listing behind the answer, so that no later request has to wait for it. */
  refreshListing(): void {
    this.#defer(this.#listing.page().then(ignore, ignore));
  }

  /** Forgets the index of `name`, so that this isolate sees a change at once. Others see it within the maximum age. */
  invalidate(name: string): void {
    this.#indexes.forget(name);
    this.#listing.invalidate();
  }

  /** Returns the index in memory if it may be answered from, and begins the deferred read when it is due. */
  #findIndex(name: string): ServedIndex | undefined {
    const now = this.#clock.now();
    const cached = this.#indexes.find(name);
    if (cached === undefined) {
      if (this.#indexes.isAbsent(name, now, this.#maxAgeMs)) throw noSuchModel(name);
      return undefined;
    }
    const ageMs = now - cached.readAt;
    if (ageMs < this.#maxAgeMs) return cached.value;
    if (ageMs >= this.#maxStaleMs) return undefined;
    const { refreshStartedAt } = cached;
    if (refreshStartedAt === undefined || now - refreshStartedAt >= refreshPatienceMs) {
      cached.refreshStartedAt = now;
      // The caller has its answer; a failure is met again, by the caller that finds the entry too old.
      this.#defer(this.#readIndex(name).then(ignore, ignore));
    }
    return cached.value;
  }

  async #resolveFromStore(
    name: string,
    versionOrAlias: string | undefined,
    entryOf = findServedEntry,
  ): Promise<ResolvedModel> {
    const cached = this.#findIndex(name) ?? (await this.#readIndex(name));
    const entry = entryOf(cached, versionOrAlias);
    try {
      return await this.#verify(cached.index, entry);
    } catch (error) {
      // The version may have been removed since its index was read: a new index tells.
      const current = await this.#readIndex(name);
      const newer = entryOf(current, versionOrAlias);
      if (newer.manifestDigest === entry.manifestDigest && newer.signature === entry.signature) throw error;
      return this.#verify(current.index, newer);
    }
  }

  async #verify(index: ModelIndex, { manifestDigest, signature }: VersionEntry): Promise<ResolvedModel> {
    const cached = await this.#readManifest(index.name, manifestDigest);
    const { manifest } = cached;
    if (cached.verdict === undefined || cached.verdict.bundle !== signature) {
      cached.verdict = await this.#judge({ manifest, manifestDigest }, signature);
    }
    return { manifest, manifestDigest, index, signed: requireSigned(cached.verdict) };
  }

  async #judge(version: StoredManifest, bundle: Digest | undefined): Promise<SignatureVerdict> {
    try {
      return { bundle, signed: await verifyStored(this.#blobs, this.publishers, version, bundle) };
    } catch (error) {
      // Any other failure is no verdict on the signature, and may not happen again.
      if (!isEdgewiseError(error) || error.code !== 'signature_invalid') throw error;
      return { bundle, refusal: error.message };
    }
  }

  async #readIndex(name: string): Promise<ServedIndex> {
    if (!isModelName(name)) throw noSuchModel(name);
    let served: ServedIndex | undefined;
    try {
      served = await this.#indexes.read(name);
    } catch (error) {
      throw toNotReadyError(error);
    }
    if (served === undefined) throw noSuchModel(name);
    return served;
  }

  async #readManifest(name: string, digest: Digest): Promise<CachedManifest> {
    const cached = this.#manifests.get(digest);
    if (cached !== undefined) return cached;
    const read = await readManifest(this.#blobs, digest);
    if (read === undefined) {
      throw new EdgewiseError('model_not_ready', `manifest ${digest} of ${name} is not stored`);
    }
    const fresh: CachedManifest = { manifest: read.manifest, verdict: undefined };
    this.#manifests.set(digest, fresh, read.byteLength);
    return fresh;
  }
}

/** @throws EdgewiseError `signature_invalid` */
function requireSigned(verdict: SignatureVerdict): Signed {
  if ('signed' in verdict) return verdict.signed;
  throw new EdgewiseError('signature_invalid', verdict.refusal);
}

function ignore(): void {}
