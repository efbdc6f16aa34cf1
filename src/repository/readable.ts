/**
 * Checks whether the blobs of a version can be read, for readiness probes. Probes have to be cheap: a result is kept for a
 * while; the blobs of small models are read and hashed, those of large models are only asked for their lengths, and very
 * large models are checked at a sample of their blobs.
 */
import type { Clock } from '../async/clock.ts';
import { Lru } from '../async/lru.ts';
import { EdgewiseError, toEdgewiseError } from '../errors.ts';
import type { VerifiedBlobStore } from '../storage/types.ts';
import { type BlobReference, referencedBlobs, type StoredManifest } from './documents.ts';

/** How long a good and a bad result are kept. */
const goodForMs = 30_000;
const badForMs = 2000;
/** Models up to this size are read as a whole. */
const maxReadBytes = 16 * 1024 * 1024;
/** Blobs whose lengths are asked for: a Worker may call its stores only so often in one request. */
const maxChecks = 32;
const checksAtATime = 6;
const maxResults = 1024;

export interface ReadableVersionsOptions {
  readonly blobs: VerifiedBlobStore;
  readonly clock: Clock;
}

interface Result {
  readonly untilMs: number;
  readonly failure: EdgewiseError | undefined;
}

export class ReadableVersions {
  readonly #options: ReadableVersionsOptions;
  readonly #results = new Lru<string, Result>({ maxBytes: maxResults });

  constructor(options: ReadableVersionsOptions) {
    this.#options = options;
  }

  /** @throws EdgewiseError `model_not_ready` naming the blob that is missing, damaged, or cannot be read now. */
  async check(model: StoredManifest): Promise<void> {
    const { clock } = this.#options;
    const { manifestDigest } = model;
    let result = this.#results.get(manifestDigest);
    if (result === undefined || clock.now() >= result.untilMs) {
      const failure = await this.#findFailure(model);
      result = { failure, untilMs: clock.now() + (failure === undefined ? goodForMs : badForMs) };
      this.#results.set(manifestDigest, result, 1);
    }
    if (result.failure !== undefined) throw result.failure;
  }

  async #findFailure({ manifest }: StoredManifest): Promise<EdgewiseError | undefined> {
    const references = referencedBlobs(manifest);
    const isSmall = references.reduce((sum, { byteLength }) => sum + byteLength, 0) <= maxReadBytes;
    const waiting = (isSmall ? references : pickSpread(references, maxChecks)).values();
    let failure: EdgewiseError | undefined;
    const checkNext = async () => {
      for (const reference of waiting) {
        const problem = await this.#describeProblem(reference, isSmall);
        if (problem === undefined) continue;
        const { name, version } = manifest;
        failure ??= new EdgewiseError(
          'model_not_ready',
          `${name}@${version} cannot be loaded: blob ${reference.digest} ${problem}`,
          { retryAfterSeconds: 30 },
        );
        return;
      }
    };
    await Promise.all(Array.from({ length: checksAtATime }, checkNext));
    return failure;
  }

  async #describeProblem(
    { digest, byteLength }: BlobReference,
    isRead: boolean,
  ): Promise<string | undefined> {
    const { blobs } = this.#options;
    try {
      if (!isRead && blobs.byteLength === undefined) return (await blobs.has(digest)) ? undefined : missing;
      const stored = isRead ? (await blobs.get(digest))?.byteLength : await blobs.byteLength?.(digest);
      if (stored === undefined) return missing;
      return stored === byteLength
        ? undefined
        : `has ${stored} bytes; expected ${byteLength}: push the version again`;
    } catch (error) {
      return toEdgewiseError(error).code === 'digest_mismatch'
        ? 'is damaged: push the version again'
        : 'cannot be read now';
    }
  }
}

const missing = 'is not stored: push the version again';

/** Returns at most `count` of `all`, evenly spread, the first and the last among them. */
function pickSpread<T>(all: readonly T[], count: number): readonly T[] {
  if (all.length <= count) return all;
  return all.filter(
    (_, at) =>
      Math.floor((at * (count - 1)) / (all.length - 1)) !==
      Math.floor(((at - 1) * (count - 1)) / (all.length - 1)),
  );
}
