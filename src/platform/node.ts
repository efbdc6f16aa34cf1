/** The composition root of the origin: its configuration → Services. Once per process. */
import { totalmem } from 'node:os';
import { systemClock } from '../async/clock.ts';
import { createOrtNodeEngine } from '../engine/ort-node.ts';
import { poolModel } from '../http/pool-model.ts';
import type { Services } from '../http/services.ts';
import { DynamicBatcher } from '../scheduler/dynamic-batcher.ts';
import { GradientLimit } from '../scheduler/gradient-limit.ts';
import { createLog } from '../telemetry/log.ts';
import { composeServices } from './compose.ts';
import type { NodeConfig, PreloadedModel } from './node-config.ts';
import { openRepository } from './node-stores.ts';

/** Memory that this process may take: the machine's, or its container's. */
export function processMemoryBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

export function nodeServices(config: NodeConfig): Services {
  const log = createLog({ level: config.log, write: (line) => console.log(line) });
  const clock = systemClock;
  return composeServices(config, {
    tier: 'origin',
    engine: createOrtNodeEngine({
      executionProviders: config.executionProviders,
      threads: config.threads,
      onProviderSkipped: (provider, cause) =>
        log.write({ level: 'error', event: 'provider_skipped', operation: provider, cause }),
    }),
    engineBaseBytes: 0,
    ...openRepository(config.repository, { clock, log }),
    clock,
    defer: (work) => void work,
    log,
    batcher: new DynamicBatcher({ clock, maxQueuePerKey: config.maxQueuePerModel }),
    limiter: new GradientLimit({
      minLimit: config.minInFlight,
      initialLimit: Math.min(config.maxInFlight, 2 * config.minInFlight),
      maxLimit: config.maxInFlight,
    }),
    lifecycle: { phase: 'starting' },
  });
}

/** Loads the models that the configuration names; one that cannot be loaded is logged, and tried again by who asks for it. */
export async function start(services: Services, preload: readonly PreloadedModel[]): Promise<void> {
  const { lifecycle, log, pool, repository } = services;
  for (const { name, version } of preload) {
    try {
      await pool.warm(poolModel(services, await repository.resolve(name, version)));
    } catch (cause) {
      log.write({ level: 'error', event: 'preload_failed', model: name, version, cause });
    }
  }
  if (lifecycle?.phase === 'starting') lifecycle.phase = 'serving';
}
