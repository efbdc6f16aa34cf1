/** Requests and answers of the repository index, load and unload (Triton, extension_model_repository.md). */
import { z } from 'zod';
import { parseControlBody } from './envelope.ts';
import { invalid, quote } from './fail.ts';

export type ModelState = 'UNKNOWN' | 'READY' | 'UNAVAILABLE' | 'LOADING' | 'UNLOADING';

export interface RepositoryIndexEntry {
  readonly name: string;
  readonly version: string;
  readonly state: ModelState;
  /** Why the model is in that state; may be empty (always sent, as MLServer does). */
  readonly reason: string;
}

export interface RepositoryIndexOptions {
  /** Only models that are ready. */
  readonly ready: boolean;
}

const indexRequestSchema = z.object({ ready: z.boolean().nullish() });

/** Parses the body of `POST /v2/repository/index`; it may be empty. @throws EdgewiseError `invalid_request` */
export function parseRepositoryIndexRequest(body: Uint8Array): RepositoryIndexOptions {
  const { ready } = parseControlBody(body, indexRequestSchema, 'the index request');
  return { ready: ready ?? false };
}

/** Returns the answer: a bare array; only ready models if the request asks for that. */
export function repositoryIndexBody(
  entries: readonly RepositoryIndexEntry[],
  options: RepositoryIndexOptions,
): readonly RepositoryIndexEntry[] {
  return options.ready ? entries.filter(({ state }) => state === 'READY') : entries;
}

const controlRequestSchema = z.object({ parameters: z.record(z.string(), z.unknown()).nullish() });

/**
 * Checks the body of `POST /v2/repository/models/{name}/load`; it may be empty.
 *
 * @throws EdgewiseError `invalid_request` for any parameter: a model's config and files come from what was published.
 */
export function checkLoadRequest(body: Uint8Array): void {
  const { parameters } = parseControlBody(body, controlRequestSchema, 'the load request');
  for (const name of Object.keys(parameters ?? {})) {
    throw invalid(
      `load parameter ${quote(name)} is not offered: config and files of a model come from what was published`,
    );
  }
}

export interface UnloadOptions {
  /** Accepted and without effect: no model depends on another. */
  readonly unloadDependents: boolean;
}

/** Parses the body of `POST /v2/repository/models/{name}/unload`; it may be empty. @throws EdgewiseError `invalid_request` */
export function parseUnloadRequest(body: Uint8Array): UnloadOptions {
  const { parameters } = parseControlBody(body, controlRequestSchema, 'the unload request');
  let unloadDependents = false;
  for (const [name, value] of Object.entries(parameters ?? {})) {
    if (name !== 'unload_dependents' || typeof value !== 'boolean') {
      throw invalid(
        `unload parameter ${quote(name)} is not usable; expected only unload_dependents, true or false`,
      );
    }
    unloadDependents = value;
  }
  return { unloadDependents };
}

/** The answer to load, in KServe's form; Triton's is empty. */
export function loadedBody(name: string): { readonly name: string; readonly load: true } {
  return { name, load: true };
}

export function unloadedBody(name: string): { readonly name: string; readonly unload: true } {
  return { name, unload: true };
}
