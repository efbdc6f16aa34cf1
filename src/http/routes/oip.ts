/** Models in the Open Inference Protocol v2: metadata, readiness, configuration, statistics, inference. */
import { createRoute, type RouteConfig, z } from '@hono/zod-openapi';
import { EdgewiseError } from '../../errors.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import { modelListBody, modelMetadata, modelReadyBody } from '../../protocol/oip/metadata.ts';
import { modelConfigBody } from '../../protocol/oip/model-config.ts';
import {
  type ModelStatistics,
  statisticsBody,
  unusedModelStatistics,
} from '../../protocol/oip/statistics.ts';
import { servedVersions } from '../../repository/index/version-policy.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import { mayUse, requireUse } from '../caller/access.ts';
import type { AppContext } from '../context.ts';
import { toHttpError } from '../error-response.ts';
import { infer } from '../infer/infer.ts';
import { chooseTier, placementFacts } from '../infer/place.ts';
import { requestHeaders } from '../openapi/headers.ts';
import { binaryBody, fileResponse, jsonBody, jsonResponse, refusals } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import {
  inferRequestSchema,
  inferResponseSchema,
  modelMetadataSchema,
  oipConfigSchema,
  statisticsSchema,
} from './oip-schemas.ts';
import { modelParams, versionParams } from './parameters.ts';
import { isServing } from './server.ts';

const listModels = createRoute({
  method: 'get',
  path: '/v2/models',
  operationId: 'listModels',
  tags: ['Models'],
  summary: 'Names of the models that the caller may use',
  responses: { 200: jsonResponse(z.object({ models: z.array(z.string()).readonly() }), 'The names') },
});

const getAllStatistics = createRoute({
  method: 'get',
  path: '/v2/models/stats',
  operationId: 'getAllStatistics',
  tags: ['Models'],
  summary: 'Statistics of all models',
  responses: { 200: jsonResponse(statisticsSchema, 'The statistics') },
});

const modelPath = '/v2/models/{name}';

const getModel = createRoute({
  method: 'get',
  path: modelPath,
  operationId: 'getModel',
  tags: ['Models'],
  summary: 'Model metadata',
  request: { params: modelParams },
  responses: { 200: jsonResponse(modelMetadataSchema, 'The metadata'), ...refusals(404) },
});

const readySchema = z.object({ name: z.string(), ready: z.boolean() });
const isModelReady = createRoute({
  method: 'get',
  path: `${modelPath}/ready`,
  operationId: 'isModelReady',
  tags: ['Models'],
  summary: 'Is the model ready',
  request: { params: modelParams },
  responses: {
    200: jsonResponse(readySchema, 'A request for the model will be answered'),
    ...refusals(404),
    503: jsonResponse(readySchema, 'The model cannot be run now', 'Retry-After', 'Edgewise-Error'),
  },
});

const getModelConfig = createRoute({
  method: 'get',
  path: `${modelPath}/config`,
  operationId: 'getModelConfig',
  tags: ['Models'],
  summary: 'Model configuration',
  request: { params: modelParams },
  responses: { 200: jsonResponse(oipConfigSchema, 'The configuration'), ...refusals(404) },
});

const getModelStatistics = createRoute({
  method: 'get',
  path: `${modelPath}/stats`,
  operationId: 'getModelStatistics',
  tags: ['Models'],
  summary: 'Statistics of a model',
  description: 'Counted in the isolate that answers; another isolate has counts of its own.',
  request: { params: modelParams },
  responses: { 200: jsonResponse(statisticsSchema, 'The statistics'), ...refusals(404) },
});

const inferenceHeaders = [
  'Edgewise-Tier',
  'Edgewise-Reason',
  'Edgewise-Model',
  'Edgewise-Receipt',
  'Edgewise-Receipt-Id',
  'Edgewise-Receipt-Salt',
  'Edgewise-Receipt-Proof',
  'Edgewise-AI-Generated',
  'Edgewise-Attribution',
  'Inference-Header-Content-Length',
  'Preference-Applied',
  'RateLimit',
  'RateLimit-Policy',
  'Server-Timing',
] as const;

const inferModel = createRoute({
  method: 'post',
  path: `${modelPath}/infer`,
  operationId: 'infer',
  tags: ['Inference'],
  summary: 'Inference',
  description:
    'JSON, or JSON followed by binary tensors if the header Inference-Header-Content-Length gives the length of the JSON part. Bodies may be gzip or deflate.',
  request: {
    params: modelParams,
    headers: [
      requestHeaders.tier,
      requestHeaders.jurisdiction,
      requestHeaders.purpose,
      requestHeaders.timeout,
      requestHeaders.headerLength,
      requestHeaders.prefer,
      requestHeaders.session,
    ],
    body: {
      required: true,
      content: {
        ...jsonBody(inferRequestSchema).content,
        ...binaryBody('application/octet-stream').content,
      },
    },
  },
  responses: {
    200: {
      ...jsonResponse(inferResponseSchema, 'The outputs', ...inferenceHeaders),
      content: {
        ...jsonResponse(inferResponseSchema, '').content,
        ...fileResponse('application/octet-stream', '').content,
      },
    },
    ...refusals(404, 504),
  },
});

/** The same route for the version or alias in its path. */
function versioned<R extends RouteConfig>(route: R): R {
  return {
    ...route,
    path: route.path.replace(modelPath, `${modelPath}/versions/{version}`),
    operationId: `${route.operationId}Version`,
    summary: `${route.summary}, by version or alias`,
    request: { ...route.request, params: versionParams },
  };
}

export function oipRoutes(services: Services) {
  const { repository, settings, statistics } = services;
  const routes = new ApiRoutes(services);

  routes.forCaller(listModels, async (c, caller) => {
    const names = await repository.names();
    return c.json(modelListBody(names.filter((name) => mayUse(caller, name, settings))), 200);
  });
  routes.forCaller(getAllStatistics, async (c, caller) => {
    const models = await allStatistics(services, (name) => mayUse(caller, name, settings));
    return c.json(statisticsBody(models), 200);
  });

  for (const route of [getModel, versioned(getModel)]) {
    routes.forCaller(route, async (c, caller) => {
      const { manifest, index } = await resolveModel(c, services, caller);
      return c.json(modelMetadata({ ...manifest, versions: servedVersions(index) }), 200);
    });
  }
  for (const route of [getModelConfig, versioned(getModelConfig)]) {
    routes.forCaller(route, async (c, caller) =>
      c.json(configOf(services, await resolveModel(c, services, caller)), 200),
    );
  }
  for (const route of [getModelStatistics, versioned(getModelStatistics)]) {
    routes.forCaller(route, async (c, caller) => {
      // An unloaded model still has its figures.
      const { name, version } = (await resolveModel(c, services, caller, 'resolvePublished')).manifest;
      const figures = statistics.ofVersion(name, version) ?? unusedModelStatistics(name, version);
      return c.json(statisticsBody([figures]), 200);
    });
  }
  for (const route of [isModelReady, versioned(isModelReady)]) {
    routes.forCaller(route, async (c, caller) => {
      const { name } = c.req.valid('param');
      const refusal = await whyNotReady(c, services, caller);
      return refusal === undefined
        ? c.json(modelReadyBody(name, true), 200)
        : c.json(modelReadyBody(name, false), 503, refusal);
    });
  }
  for (const route of [inferModel, versioned(inferModel)]) routes.unchecked(route, (c) => infer(c, services));
  return routes.app;
}

const defaultBatching = { maxQueueDelayMicroseconds: 0, preferredBatchSizes: [] };

function configOf({ batcher }: Services, { manifest, index }: ResolvedModel) {
  // Only origins gather requests, and only for row-wise models, also if the config does not mention batching.
  const isBatched = batcher !== undefined && manifest.rowWise === true;
  return modelConfigBody({
    ...manifest,
    versionPolicy: index.versionPolicy,
    dynamicBatching: isBatched ? (manifest.dynamicBatching ?? defaultBatching) : undefined,
  });
}

/** Returns the statistics of every version that is served, used or not, and of versions that were used and then removed. */
async function allStatistics(
  { repository, statistics }: Services,
  isVisible: (name: string) => boolean,
): Promise<readonly ModelStatistics[]> {
  const used = statistics.all().filter(({ name }) => isVisible(name));
  const seen = new Set(used.map(({ name, version }) => `${name}@${version}`));
  const unused = (await repository.list())
    .filter(({ name }) => isVisible(name))
    .flatMap((index) => servedVersions(index).map((version) => unusedModelStatistics(index.name, version)))
    .filter(({ name, version }) => !seen.has(`${name}@${version}`));
  return [...used, ...unused];
}

/**
 * Returns the model of the path, for a caller who may use it.
 *
 * @throws EdgewiseError `unauthenticated`, `model_not_found`, `version_not_found`, `model_not_ready`
 */
async function resolveModel(
  c: AppContext,
  { repository, settings }: Services,
  caller: Caller,
  which: 'resolve' | 'resolvePublished' = 'resolve',
): Promise<ResolvedModel> {
  const name = c.req.param('name') ?? '';
  requireUse(caller, name, settings);
  return repository[which](name, c.req.param('version'));
}

/**
 * Returns undefined if a request for the model will be answered, else the headers of the refusal. Loading is part of
 * answering a request, so only the presence of the blobs is checked.
 *
 * @throws EdgewiseError every other refusal than 503
 */
async function whyNotReady(
  c: AppContext,
  services: Services,
  caller: Caller,
): Promise<Record<string, string> | undefined> {
  try {
    const model = await resolveModel(c, services, caller);
    if (!isServing(services)) {
      throw new EdgewiseError('model_not_ready', 'this server, or its engine, is starting or ending', {
        retryAfterSeconds: 1,
      });
    }
    chooseTier(services, model, placementFacts(services, model, {}, 0));
    services.pool.checkKeptOut(model.manifestDigest);
    if (!services.pool.has(model.manifestDigest)) await services.readable.check(model);
    return undefined;
  } catch (error) {
    const { status, headers } = toHttpError(error);
    if (status === 503) return { ...headers };
    throw error;
  }
}
