/** Rules above licences: the stop switch of models, and policy packs. */
import { createRoute, z } from '@hono/zod-openapi';
import { toEdgewiseError } from '../../errors.ts';
import { findFutureRefusals, parseMoment } from '../../governance/policy/dry-run.ts';
import {
  type DryRun,
  dryRunSchema,
  shownPackSchema,
  stopReasonSchema,
  stopSchema,
} from '../../governance/policy/schema.ts';
import { servedVersions } from '../../repository/index/version-policy.ts';
import type { Manifest } from '../../repository/schema.ts';
import { jsonBody, jsonResponse, refusals } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { modelParams } from './parameters.ts';
import { requireEnabled } from './requirements.ts';

const stopModel = createRoute({
  method: 'put',
  path: '/admin/models/{name}/stop',
  operationId: 'stopModel',
  tags: ['Admin'],
  summary: 'Stop a model',
  description:
    'Every request for the model is refused until it is resumed. In force everywhere within 10 seconds.',
  request: { params: modelParams, body: jsonBody(z.strictObject({ reason: stopReasonSchema })) },
  responses: { 200: jsonResponse(stopSchema, 'The stop'), ...refusals(404, 507) },
});

const resumeModel = createRoute({
  method: 'delete',
  path: '/admin/models/{name}/stop',
  operationId: 'resumeModel',
  tags: ['Admin'],
  summary: 'Resume a stopped model',
  request: { params: modelParams },
  responses: {
    200: jsonResponse(z.object({ wasStopped: z.boolean() }), 'Whether the model was stopped'),
    ...refusals(404, 507),
  },
});

const listStops = createRoute({
  method: 'get',
  path: '/admin/stops',
  operationId: 'listStops',
  tags: ['Admin'],
  summary: 'Models that are stopped',
  responses: {
    200: jsonResponse(z.object({ stops: z.record(z.string(), stopSchema) }), 'The stops by model'),
    ...refusals(404),
  },
});

const listPacks = createRoute({
  method: 'get',
  path: '/admin/packs',
  operationId: 'listPacks',
  tags: ['Admin'],
  summary: 'Policy packs that are configured',
  responses: {
    200: jsonResponse(z.object({ packs: z.array(shownPackSchema).readonly() }), 'The packs'),
    ...refusals(404),
  },
});

const dryRunPacks = createRoute({
  method: 'get',
  path: '/admin/packs/dry-run',
  operationId: 'dryRunPacks',
  tags: ['Admin'],
  summary: 'What policy packs refuse at another time',
  request: {
    query: z.object({
      at: z.string().optional().openapi({
        description:
          'A date, or a time with its zone. On `2027-01-01` every rule that begins to apply on that day is in force. Default: now.',
        pattern: '^\\d{4}-\\d{2}-\\d{2}(T.*)?$',
      }),
    }),
  },
  responses: { 200: jsonResponse(dryRunSchema, 'The refusals'), ...refusals(404) },
});

export function policyRoutes(services: Services) {
  const routes = new ApiRoutes(services);
  const policy = () => requireEnabled(services.governance, 'stop switch and no policy packs');

  routes.forAdmin(listStops, async (c) => c.json({ stops: await policy().stops.all() }, 200));
  routes.forAdmin(stopModel, async (c) => {
    const { reason } = c.req.valid('json');
    return c.json(await policy().stops.stop(c.req.valid('param').name, reason), 200);
  });
  routes.forAdmin(resumeModel, async (c) =>
    c.json({ wasStopped: await policy().stops.resume(c.req.valid('param').name) }, 200),
  );

  routes.forAdmin(listPacks, (c) => c.json({ packs: policy().packs }, 200));
  routes.forAdmin(dryRunPacks, async (c) => {
    const { packs, now } = policy();
    const { at: given } = c.req.valid('query');
    const at = given === undefined ? now() : parseMoment(given);
    const { manifests, notServed } = await allServed(services);
    const answer: DryRun = {
      at: new Date(at).toISOString(),
      versions: manifests.length,
      refused: [...findFutureRefusals(manifests, packs, { at, now: now() })],
      notServed,
    };
    return c.json(answer, 200);
  });
  return routes.app;
}

/** Returns every version of every model that is served now, and the versions that are refused regardless of packs. */
async function allServed({ repository }: Services) {
  const manifests: Manifest[] = [];
  const notServed: DryRun['notServed'] = [];
  for (const index of await repository.list()) {
    for (const version of servedVersions(index)) {
      try {
        manifests.push((await repository.version(index.name, version)).manifest);
      } catch (error) {
        notServed.push({ model: index.name, version, code: toEdgewiseError(error).code });
      }
    }
  }
  return { manifests, notServed };
}
