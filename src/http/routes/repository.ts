/** The model repository extension: the index for every caller, load and unload with the admin key. */
import { createRoute, z } from '@hono/zod-openapi';
import {
  checkLoadRequest,
  loadedBody,
  parseRepositoryIndexRequest,
  parseUnloadRequest,
  type RepositoryIndexEntry,
  repositoryIndexBody,
  unloadedBody,
} from '../../protocol/oip/repository.ts';
import { servedVersions } from '../../repository/index/version-policy.ts';
import type { ModelIndex } from '../../repository/schema.ts';
import type { BodyLimits } from '../body/read.ts';
import { readBody } from '../body/request-body.ts';
import { mayUse } from '../caller/access.ts';
import { poolModel } from '../infer/pool-model.ts';
import { jsonResponse, optionalJsonBody, refusals } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { pageHeaders } from './page.ts';
import { modelParams, pageQuery } from './parameters.ts';

const controlLimits: BodyLimits = { maxBytes: 64 * 1024, maxDecompressedBytes: 64 * 1024 };

const indexEntrySchema = z.object({
  name: z.string(),
  version: z.string(),
  state: z.enum(['UNKNOWN', 'READY', 'UNAVAILABLE', 'LOADING', 'UNLOADING']),
  reason: z.string(),
});

const getRepositoryIndex = createRoute({
  method: 'post',
  path: '/v2/repository/index',
  operationId: 'getRepositoryIndex',
  tags: ['Repository'],
  summary: 'Every version of every model and its state',
  request: {
    query: pageQuery,
    body: optionalJsonBody(z.object({ ready: z.boolean().nullish() })),
  },
  responses: { 200: jsonResponse(z.array(indexEntrySchema).readonly(), 'A page of versions', 'Link') },
});

const loadModel = createRoute({
  method: 'post',
  path: '/v2/repository/models/{name}/load',
  operationId: 'loadModel',
  tags: ['Repository'],
  summary: 'Serve a model again and load it',
  request: {
    params: modelParams,
    body: optionalJsonBody(z.object({ parameters: z.strictObject({}).nullish() })),
  },
  responses: {
    200: jsonResponse(z.object({ name: z.string(), load: z.literal(true) }), 'The model is loaded'),
    ...refusals(404, 409, 451, 504, 507),
  },
});

const unloadModel = createRoute({
  method: 'post',
  path: '/v2/repository/models/{name}/unload',
  operationId: 'unloadModel',
  tags: ['Repository'],
  summary: 'Stop serving a model',
  request: {
    params: modelParams,
    body: optionalJsonBody(
      z.object({ parameters: z.strictObject({ unload_dependents: z.boolean().optional() }).nullish() }),
    ),
  },
  responses: {
    200: jsonResponse(z.object({ name: z.string(), unload: z.literal(true) }), 'The model is unloaded'),
    ...refusals(404, 409, 507),
  },
});

export function repositoryRoutes(services: Services) {
  const { pool, publisher, repository, settings } = services;
  const routes = new ApiRoutes(services);

  routes.forCaller(getRepositoryIndex, async (c, caller) => {
    const options = parseRepositoryIndexRequest(await readBody(c, controlLimits));
    const page = c.req.valid('query');
    const { indexes, next } = await repository.page({
      ...page,
      selects: (name) => mayUse(caller, name, settings),
    });
    const body = repositoryIndexBody(indexes.flatMap(indexEntries), options);
    return c.json(body, 200, pageHeaders('/v2/repository/index', page, next));
  });

  routes.forAdmin(loadModel, async (c) => {
    const { name } = c.req.valid('param');
    checkLoadRequest(await readBody(c, controlLimits));
    pool.letIn(name);
    await publisher.setUnloaded(name, false);
    repository.invalidate(name);
    const model = await repository.resolve(name);
    // An edge loads no session of a model without an edge profile: it runs at the origin.
    if (services.tier === 'origin' || model.manifest.edgeProfile !== undefined) {
      await pool.warm(poolModel(services, model));
    }
    return c.json(loadedBody(name), 200);
  });

  routes.forAdmin(unloadModel, async (c) => {
    const { name } = c.req.valid('param');
    parseUnloadRequest(await readBody(c, controlLimits));
    await publisher.setUnloaded(name, true);
    repository.invalidate(name);
    const { versions } = await repository.index(name);
    await Promise.all(versions.map(({ manifestDigest }) => pool.evict(manifestDigest)));
    return c.json(unloadedBody(name), 200);
  });
  return routes.app;
}

function indexEntries(index: ModelIndex): RepositoryIndexEntry[] {
  const served = new Set(servedVersions(index));
  return index.versions.map(({ version }) => {
    const reason = unavailableReason(index, served.has(version));
    return { name: index.name, version, state: reason === '' ? 'READY' : 'UNAVAILABLE', reason };
  });
}

/** Returns an empty text if the version is available. */
function unavailableReason(index: ModelIndex, isServed: boolean): string {
  if (index.unloaded) return 'unloaded';
  return isServed ? '' : 'not selected by the version policy';
}
