/** What the isolate that answers knows of the origin pool, of its engine, and of copied requests. */
import { createRoute, z } from '@hono/zod-openapi';
import { tierSchema } from '../../repository/common-schema.ts';
import { jsonResponse } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { modelParams } from './parameters.ts';

const endpointSchema = z.object({
  name: z.string(),
  protocol: z.enum(['oip', 'openai']),
  region: z.string().optional(),
  jurisdiction: z.string().optional(),
  weight: z.number(),
  state: z.enum(['healthy', 'suspect', 'ejected']),
  inFlight: z.int(),
  requests: z.int(),
  failures: z.int(),
  modelFailures: z.int(),
  unclear: z.int(),
  overtaken: z.int(),
  busy: z.int(),
  ejections: z.int(),
  outForMs: z.number(),
  heldForMs: z.number(),
  latencyMs: z.number(),
  p50Ms: z.number().optional(),
  p95Ms: z.number().optional(),
  utilisation: z.number().optional(),
  keptOut: z
    .array(z.object({ model: z.string(), state: z.enum(['suspect', 'ejected']), outForMs: z.number() }))
    .readonly()
    .openapi({ description: 'Models that keep failing at the endpoint. Others are sent there.' }),
});

const engineSchema = z.object({
  isAvailable: z.boolean().openapi({
    description: 'False while a run takes longer than it may, and until the engine is started again.',
  }),
  stops: z.int().openapi({ description: 'How often a run, or a load, ended the engine.' }),
  stopped: z
    .array(
      z.object({
        key: z.string(),
        name: z.string(),
        version: z.string(),
        stops: z.int(),
        isKeptOut: z.boolean(),
      }),
    )
    .readonly()
    .openapi({ description: 'The models that ended the engine. Loading a model lets it in again.' }),
});

const poolSchema = z
  .object({
    endpoints: z.array(endpointSchema).readonly(),
    engine: engineSchema.openapi({ description: 'The engine of the server that answers.' }),
    budgets: z
      .object({
        requests: z.int(),
        retries: z.int(),
        hedges: z.int(),
        windowMs: z.int(),
        retryLimit: z.int(),
        hedgeLimit: z.int(),
      })
      .optional()
      .openapi({ description: 'Absent without a pool.' }),
  })
  .openapi('Pool');

const shadowFigure = z
  .object({
    model: z.string(),
    alias: z.string(),
    version: z.string(),
    tier: tierSchema.optional(),
    sent: z.int(),
    skipped: z.int(),
    failed: z.int(),
    unlike: z.int().openapi({ description: 'Answers with other outputs, datatypes or shapes.' }),
    compared: z.int(),
    exact: z.int(),
    near: z.int().openapi({ description: 'Answers within the tolerance of publishing.' }),
    maxDifference: z.number(),
    rows: z.int().openapi({ description: 'Rows of two-dimensional floating outputs.' }),
    sameTopRows: z.int().openapi({ description: 'Rows whose greatest value is in the same column.' }),
  })
  .openapi('ShadowFigure');

const getPool = createRoute({
  method: 'get',
  path: '/admin/pool',
  operationId: 'getPool',
  tags: ['Admin'],
  summary: 'The endpoints of the origin pool',
  description:
    'As the isolate that answers has seen them since it began: state, requests in flight, latencies, ejections, what is left of the budgets for retries and hedges, and the models that ended the engine of this server.',
  responses: { 200: jsonResponse(poolSchema, 'The pool') },
});

const getShadowFigures = createRoute({
  method: 'get',
  path: '/admin/models/{name}/shadows',
  operationId: 'getShadowFigures',
  tags: ['Admin'],
  summary: 'How the answers to copied requests compare',
  description: 'Since the isolate that answers began.',
  request: { params: modelParams },
  responses: { 200: jsonResponse(z.object({ shadows: z.array(shadowFigure).readonly() }), 'The figures') },
});

export function poolRoutes(services: Services) {
  const routes = new ApiRoutes(services);

  routes.forAdmin(getPool, (c) => {
    const { engineStops, stopped } = services.pool.snapshot();
    const engine = { isAvailable: services.pool.isAvailable(), stops: engineStops, stopped };
    return c.json({ ...(services.origin?.snapshot() ?? { endpoints: [] }), engine }, 200);
  });

  routes.forAdmin(getShadowFigures, (c) =>
    c.json({ shadows: services.shadows?.figures.ofModel(c.req.valid('param').name) ?? [] }, 200),
  );
  return routes.app;
}
