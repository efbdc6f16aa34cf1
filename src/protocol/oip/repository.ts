/** Index, load and unload (Triton, extension_model_repository.md). */
import { z } from 'zod';
import { parseControlBody } from './envelope.ts';
import { invalid, quote } from './fail.ts';

export type ModelState = 'UNKNOWN' | 'READY' | 'UNAVAILABLE' | 'LOADING' | 'UNLOADING';

export interface RepositoryIndexEntry {
  readonly name: string;
  readonly version: string;
  readonly state: ModelState;
  /** Why it is in that state; empty where there is nothing to say (MLServer sends it always, so do we). */
  readonly reason: string;
}

export interface RepositoryIndexOptions {
  /** Only models that are ready. */
  readonly ready: boolean;
}

const indexRequestSchema = z.object({ ready: z.boolean().nullish() });

/** Body of `POST /v2/repository/index`; may be empty. @throws EdgewiseError `invalid_request` */
export function parseRepositoryIndexRequest(body: Uint8Array): RepositoryIndexOptions {
  const { ready } = parseControlBody(body, indexRequestSchema, 'the index request');
  return { ready: ready ?? false };
}

/** The answer: a bare array, of ready models only where the request says so. */
export function repositoryIndexBody(
  entries: readonly RepositoryIndexEntry[],
  options: RepositoryIndexOptions,
): readonly RepositoryIndexEntry[] {
  return options.ready ? entries.filter(({ state }) => state === 'READY') : entries;
}

const controlRequestSchema = z.object({ parameters: z.record(z.string(), z.unknown()).nullish() });

/**
 * Body of `POST /v2/repository/models/{name}/load`; may be empty.
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

/** Body of `POST /v2/repository/models/{name}/unload`; may be empty. @throws EdgewiseError `invalid_request` */
export function parseUnloadRequest(body: Uint8Array): UnloadOptions {
  const { parameters } = parseControlBody(body, controlRequestSchema, 'the unload request');
  let unloadDependents = false;
  for (const [name, value] of Object.entries(parameters ?? {})) {
    if (name !== 'unload_dependents' || typeof value !== 'boolean') {
      throw invalid(
        `unload parameter ${quote(name)} is not usable, wanted only unload_dependents, true or false`,
      );
    }
    unloadDependents = value;
  }
  return { unloadDependents };
}

/** Answers of load and unload, as KServe gives them; Triton's are empty. */
export function loadedBody(name: string): { readonly name: string; readonly load: true } {
  return { name, load: true };
}

export function unloadedBody(name: string): { readonly name: string; readonly unload: true } {
  return { name, unload: true };
}
