/** The model repository, for publishers and for servers that read models from this one. */
import { createRoute, z } from '@hono/zod-openapi';
import { EdgewiseError } from '../../errors.ts';
import { aliasSchema, versionPolicySchema, versionSchema } from '../../repository/common-schema.ts';
import { servedVersions } from '../../repository/index/version-policy.ts';
import { type Manifest, manifestSchema, modelIndexSchema } from '../../repository/schema.ts';
import { maxBundleBytes } from '../../repository/signing/bundle.ts';
import { hasUnstatedRoyalty } from '../../repository/terms.ts';
import { jsonBody, jsonResponse, refusals } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { pageHeaders } from './page.ts';
import { digest, modelName, modelParams, pageQuery, versionParams } from './parameters.ts';

const indexSchema = modelIndexSchema.clone().openapi('ModelIndex');
const describedManifest = manifestSchema.clone().openapi('Manifest');
const removed = z.object({ status: z.literal('removed') });
const fixedVersionParams = z.object({ name: modelName, version: versionSchema });

const publishBody = z.strictObject({
  manifest: describedManifest,
  signature: z.string().max(maxBundleBytes).openapi({ description: 'The text of `model.sig`.' }),
  aliases: z.array(aliasSchema).default([]),
  versionPolicy: versionPolicySchema.optional(),
});

const listPublishedModels = createRoute({
  method: 'get',
  path: '/admin/models',
  operationId: 'listPublishedModels',
  tags: ['Admin'],
  summary: 'Index of every model',
  request: { query: pageQuery },
  responses: {
    200: jsonResponse(
      z.object({ models: z.array(indexSchema).readonly(), next: z.string().nullable() }),
      'A page of indexes',
      'Link',
    ),
  },
});

const getPublishedModel = createRoute({
  method: 'get',
  path: '/admin/models/{name}',
  operationId: 'getPublishedModel',
  tags: ['Admin'],
  summary: 'Index of a model',
  request: { params: modelParams },
  responses: {
    200: jsonResponse(z.object({ index: indexSchema, served: z.array(z.string()).readonly() }), 'The index'),
    ...refusals(404),
  },
});

const removePublishedModel = createRoute({
  method: 'delete',
  path: '/admin/models/{name}',
  operationId: 'removePublishedModel',
  tags: ['Admin'],
  summary: 'Remove a model',
  request: { params: modelParams },
  responses: { 200: jsonResponse(removed, 'The model is removed'), ...refusals(404, 409, 507) },
});

const getManifest = createRoute({
  method: 'get',
  path: '/admin/models/{name}/versions/{version}',
  operationId: 'getManifest',
  tags: ['Admin'],
  summary: 'Manifest of a version',
  request: { params: versionParams },
  responses: {
    200: jsonResponse(
      z.object({ manifest: describedManifest, digest, signature: digest.optional() }),
      'The manifest',
    ),
    ...refusals(404),
  },
});

const publishVersion = createRoute({
  method: 'put',
  path: '/admin/models/{name}/versions/{version}',
  operationId: 'publishVersion',
  tags: ['Admin'],
  summary: 'Publish a version',
  description:
    'Its blobs must be stored. `signature` is the text of its `model.sig` (OpenSSF Model Signing v1.0), by a publisher whom this server trusts: `forbidden` if by another one, `invalid_request` if it does not fit the version. Publishing the same version again changes nothing, and a different one is refused; a version without a valid signature is replaced.',
  request: { params: fixedVersionParams, body: jsonBody(publishBody) },
  responses: {
    200: jsonResponse(
      z.object({ status: z.enum(['unchanged', 'replaced']) }),
      'The version was published before',
    ),
    201: jsonResponse(z.object({ status: z.literal('created') }), 'The version is published'),
    ...refusals(404, 409, 507),
  },
});

const removeVersion = createRoute({
  method: 'delete',
  path: '/admin/models/{name}/versions/{version}',
  operationId: 'removeVersion',
  tags: ['Admin'],
  summary: 'Remove a version',
  request: { params: fixedVersionParams },
  responses: { 200: jsonResponse(removed, 'The version is removed'), ...refusals(404, 409, 507) },
});

const setVersionPolicy = createRoute({
  method: 'put',
  path: '/admin/models/{name}/version-policy',
  operationId: 'setVersionPolicy',
  tags: ['Admin'],
  summary: 'Choose which versions are served',
  request: { params: modelParams, body: jsonBody(versionPolicySchema) },
  responses: {
    200: jsonResponse(z.object({ status: z.literal('set') }), 'The policy is set'),
    ...refusals(404, 409, 507),
  },
});

export function publishedModelRoutes(services: Services) {
  const { repository, publisher } = services;
  const routes = new ApiRoutes(services);

  routes.forRepositoryReader(listPublishedModels, async (c) => {
    const page = c.req.valid('query');
    const { indexes, next } = await repository.page(page);
    return c.json({ models: indexes, next: next ?? null }, 200, pageHeaders('/admin/models', page, next));
  });

  routes.forRepositoryReader(getPublishedModel, async (c) => {
    const { name } = c.req.valid('param');
    repository.invalidate(name);
    const index = await repository.index(name);
    return c.json({ index, served: servedVersions(index) }, 200);
  });

  routes.forAdmin(removePublishedModel, async (c) => {
    const { name } = c.req.valid('param');
    await publisher.removeModel(name);
    repository.invalidate(name);
    return c.json({ status: 'removed' as const }, 200);
  });

  routes.forRepositoryReader(getManifest, async (c) => {
    const { name, version } = c.req.valid('param');
    const { manifest, manifestDigest, signature } = await repository.version(name, version);
    return c.json({ manifest, digest: manifestDigest, signature }, 200);
  });

  routes.forAdmin(publishVersion, async (c) => {
    const { name, version } = c.req.valid('param');
    const { manifest, signature, aliases, versionPolicy } = c.req.valid('json');
    checkAddress(manifest, name, version);
    checkRoyalty(manifest);
    const status = await publisher.publishVersion(
      manifest,
      new Uint8Array(new TextEncoder().encode(signature)),
      { aliases, ...(versionPolicy === undefined ? {} : { versionPolicy }) },
    );
    repository.invalidate(name);
    repository.refreshListing();
    return status === 'created' ? c.json({ status }, 201) : c.json({ status }, 200);
  });

  routes.forAdmin(removeVersion, async (c) => {
    const { name, version } = c.req.valid('param');
    await publisher.removeVersion(name, version);
    repository.invalidate(name);
    return c.json({ status: 'removed' as const }, 200);
  });

  routes.forAdmin(setVersionPolicy, async (c) => {
    const { name } = c.req.valid('param');
    await publisher.setVersionPolicy(name, c.req.valid('json'));
    repository.invalidate(name);
    return c.json({ status: 'set' as const }, 200);
  });
  return routes.app;
}

/** Statements cover grants only, so a royalty without grants would never be stated. */
function checkRoyalty({ name, terms, version }: Manifest): void {
  if (!hasUnstatedRoyalty(terms)) return;
  throw new EdgewiseError(
    'invalid_request',
    `${name}@${version} has a royalty and can be used by its licence alone, of which no statement is made; expected terms.grant "required" beside terms.royalty`,
  );
}

function checkAddress(manifest: Manifest, name: string, version: string): void {
  if (manifest.name !== name || manifest.version !== version) {
    throw new EdgewiseError(
      'invalid_request',
      `the manifest is of ${manifest.name}@${manifest.version}; expected ${name}@${version}, as in the path`,
    );
  }
}
