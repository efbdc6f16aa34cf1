/** The model repository extension: index for everybody, load and unload with the admin key. */
import { Hono } from 'hono';
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
import { checkModelName } from '../../repository/name.ts';
import type { ModelIndex } from '../../repository/schema.ts';
import type { BodyLimits } from '../body/read.ts';
import { readBody } from '../body/request-body.ts';
import { mayUse, requireAdmin } from '../caller/access.ts';
import { authenticate } from '../caller/authenticate.ts';
import { identifyCaller } from '../caller/identify.ts';
import type { AppContext, AppEnv } from '../context.ts';
import { poolModel } from '../infer/pool-model.ts';
import type { Services } from '../services.ts';
import { pageHeaders, pageOf } from './page.ts';

const control: BodyLimits = { maxBytes: 64 * 1024, maxDecompressedBytes: 64 * 1024 };

export function repositoryRoutes(services: Services): Hono<AppEnv> {
  const { publisher, repository, settings } = services;
  const app = new Hono<AppEnv>();

  app.post('/index', async (c) => {
    const caller = await identifyCaller(c, services);
    const options = parseRepositoryIndexRequest(await readBody(c, control));
    const page = pageOf(c);
    const { indexes, next } = await repository.page({
      ...page,
      selects: (name) => mayUse(caller, name, settings),
    });
    const body = repositoryIndexBody(indexes.flatMap(indexEntries), options);
    return c.json(body, 200, pageHeaders('/v2/repository/index', page, next));
  });

  app.post('/models/:name/load', async (c) => {
    const name = await controlled(c, services);
    checkLoadRequest(await readBody(c, control));
    services.pool.letIn(name);
    await publisher.setUnloaded(name, false);
    repository.invalidate(name);
    const model = await repository.resolve(name);
    // An edge has no session of a model that is for the origin.
    if (services.tier === 'origin' || model.manifest.edgeProfile !== undefined) {
      await services.pool.warm(poolModel(services, model));
    }
    return c.json(loadedBody(name));
  });

  app.post('/models/:name/unload', async (c) => {
    const name = await controlled(c, services);
    parseUnloadRequest(await readBody(c, control));
    await publisher.setUnloaded(name, true);
    repository.invalidate(name);
    const { versions } = await repository.index(name);
    await Promise.all(versions.map(({ manifestDigest }) => services.pool.evict(manifestDigest)));
    return c.json(unloadedBody(name));
  });

  return app;
}

async function controlled(c: AppContext, services: Services): Promise<string> {
  requireAdmin(await authenticate(c.req, services), services.settings);
  return checkModelName(c.req.param('name') ?? '');
}

function indexEntries(index: ModelIndex): RepositoryIndexEntry[] {
  const served = new Set(servedVersions(index));
  return index.versions.map(({ version }) => {
    const reason = unavailable(index, served.has(version));
    return { name: index.name, version, state: reason === '' ? 'READY' : 'UNAVAILABLE', reason };
  });
}

function unavailable(index: ModelIndex, isServed: boolean): string {
  if (index.unloaded) {
    return 'unloaded';
  }
  return isServed ? '' : 'not selected by the version policy';
}
