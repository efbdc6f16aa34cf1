/**
 * Whether the blobs of a version can be read, for probes that ask before anybody has. Cheap: what was found is believed for
 * a while; small models are read and hashed, of large ones only lengths are asked for, and of very large ones only those
 * of a spread of blobs.
 */
import type { Clock } from '../async/clock.ts';
import { Lru } from '../async/lru.ts';
import { EdgewiseError, toEdgewiseError } from '../errors.ts';
import type { VerifiedBlobStore } from '../storage/types.ts';
import { type BlobReference, referencedBlobs, type StoredManifest } from './documents.ts';

const goodForMs = 30_000;
const badForMs = 2000;
const maxReadBytes = 16 * 1024 * 1024;
/** Of blobs whose lengths are asked for: a Worker may ask its stores only so often in one request. */
const maxAsked = 32;
const asksAtATime = 6;
const maxKept = 1024;

export interface ReadableVersionsOptions {
  readonly blobs: VerifiedBlobStore;
  readonly clock: Clock;
}

interface Known {
  readonly untilMs: number;
  readonly failure: EdgewiseError | undefined;
}

export class ReadableVersions {
  readonly #options: ReadableVersionsOptions;
  readonly #known = new Lru<string, Known>({ maxBytes: maxKept });

  constructor(options: ReadableVersionsOptions) {
    this.#options = options;
  }

  /** @throws EdgewiseError `model_not_ready` naming the blob that is not stored, damaged, or cannot be read now. */
  async check(model: StoredManifest): Promise<void> {
    const { clock } = this.#options;
    const { manifestDigest } = model;
    let known = this.#known.get(manifestDigest);
    if (known === undefined || clock.now() >= known.untilMs) {
      const failure = await this.#failureOf(model);
      known = { failure, untilMs: clock.now() + (failure === undefined ? goodForMs : badForMs) };
      this.#known.set(manifestDigest, known, 1);
    }
    if (known.failure !== undefined) throw known.failure;
  }

  async #failureOf({ manifest }: StoredManifest): Promise<EdgewiseError | undefined> {
    const references = referencedBlobs(manifest);
    const isSmall = references.reduce((sum, { byteLength }) => sum + byteLength, 0) <= maxReadBytes;
    const asked = isSmall ? references : spread(references, maxAsked);
    const waiting = asked.values();
    let failure: EdgewiseError | undefined;
    const ask = async () => {
      for (const reference of waiting) {
        const problem = await this.#problemOf(reference, isSmall);
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
    await Promise.all(Array.from({ length: asksAtATime }, ask));
    return failure;
  }

  async #problemOf({ digest, byteLength }: BlobReference, isRead: boolean): Promise<string | undefined> {
    const { blobs } = this.#options;
    try {
      if (!isRead && blobs.byteLength === undefined) {
        return (await blobs.has(digest)) ? undefined : missing;
      }
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

/** At most `count` of them, the first and the last among them. */
function spread<T>(all: readonly T[], count: number): readonly T[] {
  if (all.length <= count) return all;
  return all.filter(
    (_, at) =>
      Math.floor((at * (count - 1)) / (all.length - 1)) !==
      Math.floor(((at - 1) * (count - 1)) / (all.length - 1)),
  );
}
