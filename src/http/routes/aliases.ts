/** Aliases: the version that each points to, the split of its traffic, and the shadow that gets copies of its requests. */
import { createRoute, z } from '@hono/zod-openapi';
import { versionSchema } from '../../repository/common-schema.ts';
import { shadowSchema, splitSchema } from '../../repository/schema.ts';
import { jsonBody, jsonResponse, refusals } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { aliasParams } from './parameters.ts';

const aliasPath = '/admin/models/{name}/aliases/{alias}';

const setResponses = {
  200: jsonResponse(z.object({ status: z.literal('set') }), 'The alias is changed'),
  ...refusals(404, 409, 507),
};
const removedResponses = {
  200: jsonResponse(z.object({ status: z.literal('removed') }), 'The alias is changed'),
  ...refusals(404, 409, 507),
};

const setAlias = createRoute({
  method: 'put',
  path: aliasPath,
  operationId: 'setAlias',
  tags: ['Admin'],
  summary: 'Point an alias to a version',
  request: { params: aliasParams, body: jsonBody(z.strictObject({ version: versionSchema })) },
  responses: setResponses,
});

const removeAlias = createRoute({
  method: 'delete',
  path: aliasPath,
  operationId: 'removeAlias',
  tags: ['Admin'],
  summary: 'Remove an alias',
  request: { params: aliasParams },
  responses: removedResponses,
});

const setSplit = createRoute({
  method: 'put',
  path: `${aliasPath}/split`,
  operationId: 'setSplit',
  tags: ['Admin'],
  summary: 'Split the traffic of an alias',
  description:
    'Between 2 to 8 arms whose percentages add up to 100. A caller stays in its arm. Pointing the alias to another version ends the split.',
  request: { params: aliasParams, body: jsonBody(splitSchema.clone().openapi('Split')) },
  responses: setResponses,
});

const removeSplit = createRoute({
  method: 'delete',
  path: `${aliasPath}/split`,
  operationId: 'removeSplit',
  tags: ['Admin'],
  summary: 'Stop splitting the traffic of an alias',
  request: { params: aliasParams },
  responses: removedResponses,
});

const setShadow = createRoute({
  method: 'put',
  path: `${aliasPath}/shadow`,
  operationId: 'setShadow',
  tags: ['Admin'],
  summary: "Copy a share of an alias's requests to a version",
  description: 'Copies are sent after the answer and compared with it; the caller notices nothing of them.',
  request: { params: aliasParams, body: jsonBody(shadowSchema.clone().openapi('Shadow')) },
  responses: setResponses,
});

const removeShadow = createRoute({
  method: 'delete',
  path: `${aliasPath}/shadow`,
  operationId: 'removeShadow',
  tags: ['Admin'],
  summary: "Stop copying an alias's requests",
  request: { params: aliasParams },
  responses: removedResponses,
});

export function aliasRoutes(services: Services) {
  const { publisher, repository } = services;
  const routes = new ApiRoutes(services);

  /** The next request for the model reads its index again. */
  async function change<S extends 'set' | 'removed'>(
    name: string,
    status: S,
    changing: Promise<void>,
  ): Promise<{ status: S }> {
    await changing;
    repository.invalidate(name);
    return { status };
  }

  routes.forAdmin(setAlias, async (c) => {
    const { name, alias } = c.req.valid('param');
    const { version } = c.req.valid('json');
    return c.json(await change(name, 'set', publisher.setAlias(name, alias, version)), 200);
  });
  routes.forAdmin(removeAlias, async (c) => {
    const { name, alias } = c.req.valid('param');
    return c.json(await change(name, 'removed', publisher.removeAlias(name, alias)), 200);
  });
  routes.forAdmin(setSplit, async (c) => {
    const { name, alias } = c.req.valid('param');
    return c.json(await change(name, 'set', publisher.setSplit(name, alias, c.req.valid('json'))), 200);
  });
  routes.forAdmin(removeSplit, async (c) => {
    const { name, alias } = c.req.valid('param');
    return c.json(await change(name, 'removed', publisher.removeSplit(name, alias)), 200);
  });
  routes.forAdmin(setShadow, async (c) => {
    const { name, alias } = c.req.valid('param');
    return c.json(await change(name, 'set', publisher.setShadow(name, alias, c.req.valid('json'))), 200);
  });
  routes.forAdmin(removeShadow, async (c) => {
    const { name, alias } = c.req.valid('param');
    return c.json(await change(name, 'removed', publisher.removeShadow(name, alias)), 200);
  });
  return routes.app;
}
