/**
 * What is published, as requests see it. Indexes are kept in memory: trusted for `indexMaxAgeMs`, then, for
 * `staleWhileRevalidateMs` more, still answered from while a deferred read brings the new one; older ones are read again
 * before they are answered from. Manifests never change, so they are kept as long as there is room, with what came of
 * verifying their signature: nothing is resolved that no trusted publisher has signed.
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

/** Text of indexes, and of manifests, that is kept. What it is parsed into takes a few times as much. */
const maxIndexBytes = 1024 * 1024;
const maxManifestBytes = 2 * 1024 * 1024;
/** Names without a model that are remembered: enough for honest mistakes, and a bound for the others. */
const maxUnknownNames = 256;
/** A deferred read that is not back by then has died with its request; the next one may try. */
const refreshPatienceMs = 10_000;

export interface ModelRepositoryOptions {
  readonly state: StateStore;
  readonly blobs: VerifiedBlobStore;
  readonly clock: Clock;
  readonly defer: Defer;
  /** Whose signatures count. With none of them nothing can be served. */
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
  /** Of the bundle. */
  readonly signature: Digest | undefined;
}

interface HeldManifest {
  readonly manifest: Manifest;
  /** Owned by `#verified`: what came of the signature that the index named when it was last looked at. */
  verdict: Verdict | undefined;
}

/** Of a signature, which never changes, on a manifest, which neither does: so it stands as long as this process. */
type Verdict = { readonly bundle: Digest | undefined } & (
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
  readonly #manifests = new Lru<Digest, HeldManifest>({ maxBytes: maxManifestBytes });
  /** Whose signatures count. */
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
   * The version of `name` to serve: the one asked for by number or alias, else the default one. Answers at once, not by
   * a promise, when all of it is in memory; errors are thrown at once, too, then.
   *
   * @throws EdgewiseError `model_not_found`, `version_not_found`; `model_not_ready` when the model is unloaded or the
   * repository cannot be read; `signature_invalid` when no trusted publisher has signed exactly this version.
   */
  resolve(name: string, versionOrAlias?: string): ResolvedModel | Promise<ResolvedModel> {
    const cached = this.#findIndex(name);
    if (cached === undefined) return this.#resolveFromStore(name, versionOrAlias);
    const entry = findServedEntry(cached, versionOrAlias);
    const held = this.#manifests.get(entry.manifestDigest);
    const verdict = held?.verdict;
    if (held === undefined || verdict === undefined || verdict.bundle !== entry.signature) {
      return this.#resolveFromStore(name, versionOrAlias);
    }
    const { manifestDigest } = entry;
    return { manifest: held.manifest, manifestDigest, index: cached.index, signed: acceptedBy(verdict) };
  }

  /** As `resolve`, also of a model that is unloaded: for what is said of it, and what is had of it without a run. */
  published(name: string, versionOrAlias?: string): Promise<ResolvedModel> {
    return this.#resolveFromStore(name, versionOrAlias, findPublishedEntry);
  }

  /** @throws EdgewiseError `model_not_found`, `model_not_ready` */
  index(name: string): ModelIndex | Promise<ModelIndex> {
    return this.#findIndex(name)?.index ?? this.#readIndex(name).then(({ index }) => index);
  }

  /**
   * Any published version, served or not, loaded or not, by number or alias, as it stands: its signature is not looked at.
   *
   * @throws EdgewiseError `model_not_found`, `version_not_found`, `model_not_ready`
   */
  async version(name: string, versionOrAlias: string): Promise<StoredVersion> {
    const { index } = this.#findIndex(name) ?? (await this.#readIndex(name));
    const version = resolveAlias(index, versionOrAlias);
    const entry = index.versions.find((each) => each.version === version);
    if (entry === undefined) throw noSuchVersion(index, versionOrAlias);
    const { manifestDigest, signature } = entry;
    return { manifest: (await this.#manifest(name, manifestDigest)).manifest, manifestDigest, signature };
  }

  /** All models, by name. Where the names will do, ask for `names()`. @throws EdgewiseError as `page` */
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
   * Models by name, up to a thousand: within the age none, else one listing of the store, whatever their number, and a read
   * for each index that changed since.
   *
   * @throws EdgewiseError `model_not_ready` when the repository cannot be read, or its listing is still being made.
   */
  async page(options: PageOptions): Promise<ModelPage> {
    try {
      return await this.#listing.page(options);
    } catch (error) {
      throw toNotReadyError(error);
    }
  }

  /**
   * Names of all models, ascending: one listing of the store, within the age none.
   *
   * @throws EdgewiseError `model_not_ready` when the repository cannot be read.
   */
  async names(): Promise<readonly string[]> {
    try {
      return await this.#listing.names();
    } catch (error) {
      throw toNotReadyError(error);
    }
  }

  /** Has the listing take in what was changed just now, behind the answer, so that nobody waits for it later. */
  refreshListing(): void {
    this.#defer(this.#listing.page().then(ignore, ignore));
  }

  /** Forgets what is known of `name`, so that this isolate sees a change at once. Others see it within the age. */
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
      return await this.#verified(cached.index, entry);
    } catch (error) {
      // A version that was removed since its index was read: the new index says what there is.
      const current = await this.#readIndex(name);
      const newer = entryOf(current, versionOrAlias);
      if (newer.manifestDigest === entry.manifestDigest && newer.signature === entry.signature) throw error;
      return this.#verified(current.index, newer);
    }
  }

  async #verified(index: ModelIndex, { manifestDigest, signature }: VersionEntry): Promise<ResolvedModel> {
    const held = await this.#manifest(index.name, manifestDigest);
    const { manifest } = held;
    if (held.verdict === undefined || held.verdict.bundle !== signature) {
      held.verdict = await this.#judge({ manifest, manifestDigest }, signature);
    }
    return { manifest, manifestDigest, index, signed: acceptedBy(held.verdict) };
  }

  async #judge(version: StoredManifest, bundle: Digest | undefined): Promise<Verdict> {
    try {
      return { bundle, signed: await verifyStored(this.#blobs, this.publishers, version, bundle) };
    } catch (error) {
      // Whatever else went wrong says nothing of the signature, and may go better next time.
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

  async #manifest(name: string, digest: Digest): Promise<HeldManifest> {
    const held = this.#manifests.get(digest);
    if (held !== undefined) return held;
    const read = await readManifest(this.#blobs, digest);
    if (read === undefined) {
      throw new EdgewiseError('model_not_ready', `manifest ${digest} of ${name} is not stored`);
    }
    const fresh: HeldManifest = { manifest: read.manifest, verdict: undefined };
    this.#manifests.set(digest, fresh, read.byteLength);
    return fresh;
  }
}

/** @throws EdgewiseError `signature_invalid` */
function acceptedBy(verdict: Verdict): Signed {
  if ('signed' in verdict) return verdict.signed;
  throw new EdgewiseError('signature_invalid', verdict.refusal);
}

function ignore(): void {}
