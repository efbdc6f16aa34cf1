/** The Open Inference Protocol v2: health, metadata, configuration, statistics, inference. */
import { Hono } from 'hono';
import { EdgewiseError } from '../../errors.ts';
import {
  liveBody,
  modelListBody,
  modelMetadata,
  modelReadyBody,
  readyBody,
  type ServerExtension,
  type ServerMetadata,
  serverMetadata,
} from '../../protocol/oip/metadata.ts';
import { modelConfigBody } from '../../protocol/oip/model-config.ts';
import {
  type ModelStatistics,
  statisticsBody,
  unusedModelStatistics,
} from '../../protocol/oip/statistics.ts';
import { servedVersions } from '../../repository/index/version-policy.ts';
import type { ModelRepository, ResolvedModel } from '../../repository/model-repository.ts';
import { mayUse, requireUse } from '../caller/access.ts';
import { identifyCaller } from '../caller/identify.ts';
import type { AppContext, AppEnv } from '../context.ts';
import { toHttpError } from '../error-response.ts';
import { infer } from '../infer/infer.ts';
import { chooseTier, placementFacts } from '../infer/place.ts';
import type { Services } from '../services.ts';

/** What is implemented, and nothing else. The edge keeps to timeouts, but gathers no queue that priorities could order. */
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

export function describeServer({ settings, tier }: Pick<Services, 'settings' | 'tier'>): ServerMetadata {
  return serverMetadata(
    settings.serverVersion,
    extensions.filter((name) => tier === 'origin' || name !== 'schedule_policy'),
  );
}

const defaultBatching = { maxQueueDelayMicroseconds: 0, preferredBatchSizes: [] };

type ModelHandler = (c: AppContext, model: ResolvedModel) => Response;

export function oipRoutes(services: Services): Hono<AppEnv> {
  const { repository, settings, statistics } = services;
  const app = new Hono<AppEnv>();

  app.get('/', (c) => c.json(describeServer(services)));
  app.get('/health/live', (c) => c.json(liveBody(true)));
  app.get('/health/ready', async (c) => {
    const ready = isServing(services) && (await canRead(repository));
    return ready ? c.json(readyBody(true)) : c.json(readyBody(false), 503, { 'Retry-After': '1' });
  });

  app.get('/models', async (c) => {
    const caller = await identifyCaller(c, services);
    const names = await repository.names();
    return c.json(modelListBody(names.filter((name) => mayUse(caller, name, settings))));
  });
  app.get('/models/stats', async (c) => {
    const caller = await identifyCaller(c, services);
    return c.json(statisticsBody(await allStatistics(services, (name) => mayUse(caller, name, settings))));
  });

  const onModel = (path: string, handle: ModelHandler) => {
    for (const prefix of ['/models/:name', '/models/:name/versions/:version']) {
      app.get(`${prefix}${path}`, async (c) => handle(c, await resolve(c, services)));
    }
  };
  onModel('', (c, { manifest, index }) =>
    c.json(modelMetadata({ ...manifest, versions: servedVersions(index) })),
  );
  onModel('/config', (c, { manifest, index }) =>
    c.json(
      modelConfigBody({
        ...manifest,
        versionPolicy: index.versionPolicy,
        // An edge gathers none; an origin those of row-wise models, also where the config says nothing of them.
        dynamicBatching:
          services.batcher && manifest.rowWise === true
            ? (manifest.dynamicBatching ?? defaultBatching)
            : undefined,
      }),
    ),
  );

  for (const prefix of ['/models/:name', '/models/:name/versions/:version']) {
    // A model that was unloaded has its figures still.
    app.get(`${prefix}/stats`, async (c) => {
      const { name, version } = (await resolve(c, services, 'resolvePublished')).manifest;
      return c.json(statisticsBody([statistics.of(name, version) ?? unusedModelStatistics(name, version)]));
    });
    app.get(`${prefix}/ready`, (c) => modelReady(c, services));
    app.post(`${prefix}/infer`, (c) => infer(c, services));
  }
  return app;
}

/** Of every version that is served, asked or not, and of those that were asked before they were taken out. */
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
 * The model of the path, for a caller who may use it.
 *
 * @throws EdgewiseError `unauthenticated`, `model_not_found`, `version_not_found`, `model_not_ready`
 */
async function resolve(
  c: AppContext,
  services: Services,
  which: 'resolve' | 'resolvePublished' = 'resolve',
): Promise<ResolvedModel> {
  const { repository, settings } = services;
  const name = c.req.param('name') ?? '';
  requireUse(await identifyCaller(c, services), name, settings);
  return repository[which](name, c.req.param('version'));
}

function isServing({ lifecycle, pool }: Services): boolean {
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

/** Ready means that a request will be answered. Loading is part of answering it, so what is to be loaded is looked at. */
async function modelReady(c: AppContext, services: Services): Promise<Response> {
  try {
    const model = await resolve(c, services);
    if (!isServing(services)) {
      throw new EdgewiseError('model_not_ready', 'this server, or its engine, is starting or ending', {
        retryAfterSeconds: 1,
      });
    }
    chooseTier(services, model, placementFacts(services, model, {}, 0));
    services.pool.checkKeptOut(model.manifestDigest);
    if (!services.pool.has(model.manifestDigest)) await services.readable.check(model);
    return c.json(modelReadyBody(model.manifest.name, true));
  } catch (error) {
    const { status, headers } = toHttpError(error);
    if (status === 503) {
      return c.json(modelReadyBody(c.req.param('name') ?? '', false), 503, headers);
    }
    throw error;
  }
}
