/** The server itself: its health, its metadata, and where to read on. */
import { createRoute, z } from '@hono/zod-openapi';
import { accepts } from 'hono/accepts';
import {
  liveBody,
  readyBody,
  type ServerExtension,
  type ServerMetadata,
  serverMetadata,
} from '../../protocol/oip/metadata.ts';
import type { ModelRepository } from '../../repository/model-repository.ts';
import { docsPage } from '../openapi/docs-page.ts';
import type { ApiDocument } from '../openapi/document.ts';
import { emptyResponse, fileResponse, jsonResponse } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { serverMetadataSchema } from './oip-schemas.ts';

/** Exactly what is implemented. An edge keeps to timeouts, but has no queue that priorities could order. */
const extensions: readonly ServerExtension[] = [
  'classification',
  'model_repository',
  'model_repository(unload_dependents)',
  'schedule_policy',
  'model_configuration',
  'binary_tensor_data',
  'parameters',
  'statistics',
];

const isLive = createRoute({
  method: 'get',
  path: '/v2/health/live',
  operationId: 'isLive',
  tags: ['Health'],
  summary: 'Is the server live',
  responses: { 200: jsonResponse(z.object({ live: z.boolean() }), 'The server answers') },
});

const readySchema = z.object({ ready: z.boolean() });
const isReady = createRoute({
  method: 'get',
  path: '/v2/health/ready',
  operationId: 'isReady',
  tags: ['Health'],
  summary: 'Is the server ready',
  responses: {
    200: jsonResponse(readySchema, 'The server serves models'),
    503: jsonResponse(
      readySchema,
      'The server is starting or ending, or cannot read its repository',
      'Retry-After',
    ),
  },
});

const getServerMetadata = createRoute({
  method: 'get',
  path: '/v2',
  operationId: 'getServerMetadata',
  tags: ['Service'],
  summary: 'Server metadata',
  responses: { 200: jsonResponse(serverMetadataSchema, 'The metadata') },
});

const getFront = createRoute({
  method: 'get',
  path: '/',
  operationId: 'getFront',
  tags: ['Service'],
  summary: 'Which server this is and where to read on; sends a browser to the reference page',
  responses: {
    200: jsonResponse(
      serverMetadataSchema.extend({ links: z.record(z.string(), z.string()) }),
      'The metadata, with paths of other routes',
    ),
    302: emptyResponse('The reference page, for a browser', 'Location'),
  },
});

const getDescription = createRoute({
  method: 'get',
  path: '/openapi.json',
  operationId: 'getDescription',
  tags: ['Service'],
  summary: 'This description',
  responses: { 200: jsonResponse(z.record(z.string(), z.any()), 'An OpenAPI 3.1 document') },
});

const getDocs = createRoute({
  method: 'get',
  path: '/docs',
  operationId: 'getDocs',
  tags: ['Service'],
  summary: 'Reference page',
  responses: { 200: fileResponse('text/html', 'The page') },
});

/** @param describe Returns the description of every route of the app. */
export function serverRoutes(services: Services, describe: () => ApiDocument) {
  const { repository, settings } = services;
  const routes = new ApiRoutes(services);

  routes.open(isLive, (c) => c.json(liveBody(true), 200));
  routes.open(isReady, async (c) => {
    const ready = isServing(services) && (await canRead(repository));
    return ready ? c.json(readyBody(true), 200) : c.json(readyBody(false), 503, { 'Retry-After': '1' });
  });
  routes.open(getServerMetadata, (c) => c.json(describeServer(services), 200));
  // The specification writes the path with a slash.
  routes.app.get('/v2/', (c) => c.json(describeServer(services)));

  routes.open(getFront, (c) => {
    const header = 'Accept';
    const supports = ['application/json', 'text/html'];
    c.header('Vary', header, { append: true });
    const accepted = accepts(c, { header, supports, default: 'application/json' });
    if (accepted === 'text/html') return c.redirect('/docs', 302);
    const links = {
      reference: '/docs',
      openapi: '/openapi.json',
      models: '/v2/models',
      ready: '/v2/health/ready',
    };
    return c.json({ ...describeServer(services), links }, 200);
  });
  routes.open(getDescription, (c) => c.json({ ...describe() }, 200));
  routes.open(getDocs, (c) => c.html(docsPage(settings, describe(), new URL(c.req.url).origin)));
  return routes.app;
}

function describeServer({ settings, tier }: Services): ServerMetadata {
  return serverMetadata(
    settings.serverVersion,
    extensions.filter((name) => tier === 'origin' || name !== 'schedule_policy'),
  );
}

/** Reports whether this process is ready to run models. */
export function isServing({ lifecycle, pool }: Services): boolean {
  if (!pool.isAvailable()) return false;
  return lifecycle === undefined || lifecycle.phase === 'serving';
}

async function canRead(repository: ModelRepository): Promise<boolean> {
  try {
    await repository.names();
    return true;
  } catch {
    return false;
  }
}
