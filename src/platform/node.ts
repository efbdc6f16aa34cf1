/** The composition root of the origin: its configuration → Services. Once per process. */
import { totalmem } from 'node:os';
import { systemClock } from '../async/clock.ts';
import { createOrtNodeProcessEngine } from '../engine/ort-node-process.ts';
import { poolModel } from '../http/infer/pool-model.ts';
import type { Lifecycle } from '../http/lifecycle.ts';
import type { Services } from '../http/services.ts';
import { DynamicBatcher } from '../scheduler/dynamic-batcher.ts';
import { GradientLimit } from '../scheduler/gradient-limit.ts';
import { createLogger } from '../telemetry/logger.ts';
import { composeServices } from './compose.ts';
import type { NodeConfig, PreloadedModel } from './node-config.ts';
import { openRepository } from './node-stores.ts';

/** Returns the memory that this process may use: the machine's, or its container's limit. */
export function processMemoryBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

export interface Origin {
  readonly services: Services;
  /**
   * Finds the execution providers and loads the models that the configuration names, then reports ready. A model that
   * cannot be loaded is logged, and loaded again at its first request.
   *
   * @throws EdgewiseError `internal` if no execution provider works on this machine.
   */
  start(): Promise<void>;
}

export function createOrigin(config: NodeConfig): Origin {
  const logger = createLogger({ level: config.log, write: (line) => console.log(line) });
  const clock = systemClock;
  const lifecycle: Lifecycle = { phase: 'starting' };
  const engine = createOrtNodeProcessEngine(
    {
      executionProviders: config.executionProviders,
      threads: config.threads,
      onProviderSkipped: (provider, cause) =>
        logger.write({ level: 'error', event: 'provider_skipped', operation: provider, cause }),
    },
    { clock, maxRunMs: config.maxRunMs, runGraceMs: config.runGraceMs, maxLoadMs: config.loadTimeoutMs },
  );
  const services = composeServices(config, {
    tier: 'origin',
    engine,
    engineBaseBytes: 0,
    ...openRepository(config.repository, { clock, logger }),
    clock,
    defer: (work) => void work,
    logger,
    batcher: new DynamicBatcher({
      clock,
      maxQueuePerKey: config.maxQueuePerModel,
      gather: (wake) => void setImmediate(wake),
      onRowMismatch: (digest, cause) =>
        logger.write({ level: 'error', event: 'other_rows_than_published', digest, cause }),
    }),
    limiter: new GradientLimit({
      minLimit: config.minInFlight,
      initialLimit: Math.min(config.maxInFlight, 2 * config.minInFlight),
      maxLimit: config.maxInFlight,
    }),
    lifecycle,
  });
  return {
    services,
    async start() {
      const providers = await engine.providers();
      logger.write({ level: 'info', event: 'providers', operation: providers.join(', ') });
      for (const model of config.preload) await preload(services, model);
      if (lifecycle.phase === 'starting') lifecycle.phase = 'serving';
    },
  };
}

async function preload(services: Services, { name, version }: PreloadedModel): Promise<void> {
  const { logger, pool, repository } = services;
  try {
    await pool.warm(poolModel(services, await repository.resolve(name, version)));
  } catch (cause) {
    logger.write({ level: 'error', event: 'preload_failed', model: name, version, cause });
  }
}
