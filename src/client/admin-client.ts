/** Publishing and control over HTTP: the admin routes of a worker, local or deployed. */
import { z } from 'zod';
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
import { jsonAnswer, noAnswer } from './json.ts';
import { type ClientOptions, createTransport } from './transport.ts';

export interface PublishVersionOptions {
  /** Set to the version together with it. */
  readonly aliases?: readonly string[];
  readonly versionPolicy?: VersionPolicy;
}

export interface PublishedModel {
  readonly index: ModelIndex;
  /** Versions that can be asked for, newest first. */
  readonly served: readonly string[];
}

export interface PublishedVersion {
  readonly manifest: Manifest;
  /** Of the stored manifest: the one of the `Edgewise-Model` header. */
  readonly digest: Digest;
  /** Of the signature bundle, a blob; absent for a version from before they were signed. */
  readonly signature?: Digest | undefined;
}

/** Every method throws EdgewiseError with the server's code. */
export interface AdminClient {
  hasBlob(digest: Digest): Promise<boolean>;
  /** The stored bytes as they are: the caller checks them. @throws `not_found` */
  getBlob(digest: Digest): Promise<Uint8Array<ArrayBuffer>>;
  putBlob(digest: Digest, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /**
   * Its blobs have to be there. `signature`: the bytes of its `model.sig`.
   *
   * @throws `conflict` when the version is published with other content; `forbidden` when nobody who is trusted there has
   * signed it; `invalid_request` when the signature is not of this version.
   */
  publishVersion(
    manifest: Manifest,
    signature: Uint8Array<ArrayBuffer>,
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
  /** @throws `version_not_found` when the alias or a version is not there. */
  setSplit(name: string, alias: string, split: Split): Promise<void>;
  removeSplit(name: string, alias: string): Promise<void>;
  /** @throws `version_not_found` when the alias or the version is not there. */
  setShadow(name: string, alias: string, shadow: Shadow): Promise<void>;
  removeShadow(name: string, alias: string): Promise<void>;
  /** As the isolate that answers has counted since it began. */
  shadows(name: string): Promise<readonly ShadowFigure[]>;
  setVersionPolicy(name: string, policy: VersionPolicy): Promise<void>;
}

/** `next`: the name after which the next page begins. A server of before there were pages says nothing of it. */
const indexesSchema = z.object({ models: z.array(modelIndexSchema), next: z.string().nullish() });
const modelSchema = z.object({ index: modelIndexSchema, served: z.array(z.string()) });
const versionSchema = z.object({
  manifest: manifestSchema,
  digest: digestSchema,
  signature: digestSchema.optional(),
});
const shadowsSchema = z.object({ shadows: z.array(shadowFigureSchema) });
const statusSchema = z.object({ status: publishStatusSchema });

const json = { 'Content-Type': 'application/json' };

function modelPath(name: string, ...rest: readonly string[]): string {
  return `/admin/models/${[name, ...rest].map(encodeURIComponent).join('/')}`;
}

function blobPath(digest: Digest): string {
  return `/admin/blobs/${encodeURIComponent(digest)}`;
}

/** A server that has no room for a blob beside other bodies says so before it reads it, and has room soon. */
const uploadAttempts = 8;

export function createAdminClient(options: ClientOptions): AdminClient {
  const { exchange } = createTransport(options);

  // Removing, setting and publishing the same again changes nothing, so all of it may be tried again.
  const change = (method: 'PUT' | 'DELETE', path: string, body?: unknown): Promise<void> =>
    exchange({
      method,
      path,
      retry: 'idempotent',
      ...(body === undefined ? {} : { headers: json, body: JSON.stringify(body) }),
      read: noAnswer,
    });
  const get = <S extends z.ZodType>(path: string, schema: S): Promise<z.output<S>> =>
    exchange({ method: 'GET', path, retry: 'idempotent', read: jsonAnswer(schema) });

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
        read: noAnswer,
      }),
    publishVersion: async (manifest, signature, { aliases = [], versionPolicy } = {}) => {
      const { status } = await exchange({
        method: 'PUT',
        path: modelPath(manifest.name, 'versions', manifest.version),
        retry: 'idempotent',
        headers: json,
        body: JSON.stringify({
          manifest,
          signature: new TextDecoder().decode(signature),
          aliases,
          ...(versionPolicy && { versionPolicy }),
        }),
        read: jsonAnswer(statusSchema),
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
