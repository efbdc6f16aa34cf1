/** Publishing and control over HTTP: the admin routes of a worker. */

import { z } from 'zod';
import type { Bytes } from '../bytes.ts';
import { type ShadowFigure, shadowFigureSchema } from '../protocol/shadow-figures.ts';
import {
  digestSchema,
  type PublishStatus,
  publishStatusSchema,
  type VersionPolicy,
} from '../repository/common-schema.ts';
import {
  type Manifest,
  type ModelIndex,
  manifestSchema,
  modelIndexSchema,
  type Shadow,
  type Split,
} from '../repository/schema.ts';
import type { Digest } from '../storage/types.ts';
import { createJsonTransport, discardBody, encodeJsonBody } from './json.ts';
import type { ClientOptions, Transport } from './transport.ts';

export interface PublishVersionOptions {
  /** Set to the version when it becomes visible. */
  readonly aliases?: readonly string[];
  readonly versionPolicy?: VersionPolicy;
}

export interface PublishedModel {
  readonly index: ModelIndex;
  /** Versions that requests may name, highest first. */
  readonly served: readonly string[];
}

export interface PublishedVersion {
  readonly manifest: Manifest;
  /** Digest of the stored manifest, as in the `Edgewise-Model` header. */
  readonly digest: Digest;
  /** Digest of the signature bundle, a blob; absent for an unsigned version. */
  readonly signature?: Digest | undefined;
}

/** Every method throws EdgewiseError with the server's code. */
export interface AdminClient {
  hasBlob(digest: Digest): Promise<boolean>;
  /** Returns the stored bytes; the caller checks their digest. @throws `not_found` */
  getBlob(digest: Digest): Promise<Bytes>;
  putBlob(digest: Digest, bytes: Bytes): Promise<void>;
  /**
   * Publishes a version whose blobs are uploaded.
   *
   * @param signature The bytes of its `model.sig`.
   * @throws `conflict` if the version is published with other content; `forbidden` if no publisher that the server trusts
   * signed it; `invalid_request` if the signature is not for this version.
   */
  publishVersion(
    manifest: Manifest,
    signature: Bytes,
    options?: PublishVersionOptions,
  ): Promise<PublishStatus>;
  models(): Promise<readonly ModelIndex[]>;
  /** @throws `model_not_found` */
  model(name: string): Promise<PublishedModel>;
  /** @throws `model_not_found`, `version_not_found` */
  version(name: string, versionOrAlias: string): Promise<PublishedVersion>;
  removeVersion(name: string, version: string): Promise<void>;
  removeModel(name: string): Promise<void>;
  setAlias(name: string, alias: string, version: string): Promise<void>;
  removeAlias(name: string, alias: string): Promise<void>;
  /** @throws `version_not_found` if the alias or a version does not exist. */
  setSplit(name: string, alias: string, split: Split): Promise<void>;
  removeSplit(name: string, alias: string): Promise<void>;
  /** @throws `version_not_found` if the alias or the version does not exist. */
  setShadow(name: string, alias: string, shadow: Shadow): Promise<void>;
  removeShadow(name: string, alias: string): Promise<void>;
  /** Returns the figures of the isolate that answers, since its start. */
  shadows(name: string): Promise<readonly ShadowFigure[]>;
  setVersionPolicy(name: string, policy: VersionPolicy): Promise<void>;
}

/** `next`: the name after which the next page begins. Servers before pagination leave it out. */
const indexesSchema = z.object({ models: z.array(modelIndexSchema), next: z.string().nullish() });
const modelSchema = z.object({ index: modelIndexSchema, served: z.array(z.string()) });
const versionSchema = z.object({
  manifest: manifestSchema,
  digest: digestSchema,
  signature: digestSchema.optional(),
});
const shadowsSchema = z.object({ shadows: z.array(shadowFigureSchema) });
const statusSchema = z.object({ status: publishStatusSchema });

function modelPath(name: string, ...rest: readonly string[]): string {
  return `/admin/models/${[name, ...rest].map(encodeURIComponent).join('/')}`;
}

function blobPath(digest: Digest): string {
  return `/admin/blobs/${encodeURIComponent(digest)}`;
}

/** A server without memory for a blob beside other bodies refuses it unread, and has memory again soon. */
const uploadAttempts = 8;

export function createAdminClient(options: ClientOptions): AdminClient {
  const { exchange, get, send } = createJsonTransport(options);

  // Repeating a removal, a setting or a publication changes nothing, so all of them may be retried.
  const change = (method: 'PUT' | 'DELETE', path: string, body?: unknown): Promise<void> =>
    exchange({ method, path, retry: 'idempotent', ...encodeJsonBody(body), read: discardBody });

  return {
    ...blobMethods(exchange),
    publishVersion: async (manifest, signature, { aliases = [], versionPolicy } = {}) => {
      const { status } = await send('PUT', modelPath(manifest.name, 'versions', manifest.version), {
        body: {
          manifest,
          signature: new TextDecoder().decode(signature),
          aliases,
          ...(versionPolicy && { versionPolicy }),
        },
        schema: statusSchema,
      });
      return status;
    },
    models: async () => {
      const models: ModelIndex[] = [];
      for (let path: string | undefined = '/admin/models'; path !== undefined; ) {
        const page: z.output<typeof indexesSchema> = await get(path, indexesSchema);
        models.push(...page.models);
        path = page.next ? `/admin/models?after=${encodeURIComponent(page.next)}` : undefined;
      }
      return models;
    },
    model: (name) => get(modelPath(name), modelSchema),
    version: (name, version) => get(modelPath(name, 'versions', version), versionSchema),
    removeVersion: (name, version) => change('DELETE', modelPath(name, 'versions', version)),
    removeModel: (name) => change('DELETE', modelPath(name)),
    setAlias: (name, alias, version) => change('PUT', modelPath(name, 'aliases', alias), { version }),
    removeAlias: (name, alias) => change('DELETE', modelPath(name, 'aliases', alias)),
    setSplit: (name, alias, split) => change('PUT', modelPath(name, 'aliases', alias, 'split'), split),
    removeSplit: (name, alias) => change('DELETE', modelPath(name, 'aliases', alias, 'split')),
    setShadow: (name, alias, shadow) => change('PUT', modelPath(name, 'aliases', alias, 'shadow'), shadow),
    removeShadow: (name, alias) => change('DELETE', modelPath(name, 'aliases', alias, 'shadow')),
    shadows: async (name) => (await get(modelPath(name, 'shadows'), shadowsSchema)).shadows,
    setVersionPolicy: (name, policy) => change('PUT', modelPath(name, 'version-policy'), policy),
  };
}

function blobMethods(exchange: Transport['exchange']): Pick<AdminClient, 'hasBlob' | 'getBlob' | 'putBlob'> {
  return {
    hasBlob: (digest) =>
      exchange({
        method: 'HEAD',
        path: blobPath(digest),
        retry: 'idempotent',
        accept: [404],
        read: (response) => Promise.resolve(response.ok),
      }),
    getBlob: (digest) =>
      exchange({
        method: 'GET',
        path: blobPath(digest),
        retry: 'idempotent',
        read: async (response) => new Uint8Array(await response.arrayBuffer()),
      }),
    putBlob: (digest, bytes) =>
      exchange({
        method: 'PUT',
        path: blobPath(digest),
        retry: 'idempotent',
        attemptsWhenOverloaded: uploadAttempts,
        headers: { 'Content-Type': 'application/octet-stream' },
        body: bytes,
        read: discardBody,
      }),
  };
}
