import type { Clock } from '../async/clock.ts';
import { Lru } from '../async/lru.ts';
import { SessionPool } from '../engine/session-pool.ts';
import type { Engine } from '../engine/types.ts';
import { createAccounts } from '../governance/accounts/accounts.ts';
import type { SharedCounter } from '../governance/accounts/rate.ts';
import { createSharedRate } from '../governance/accounts/shared-rate.ts';
import { SlidingWindows } from '../governance/accounts/sliding-windows.ts';
import type { NoticeOptions } from '../governance/subjects/notice.ts';
import { tenantPseudonyms } from '../governance/vault/tenant-pseudonyms.ts';
import type { Pace } from '../http/body/pace.ts';
import { Rates } from '../http/caller/rates.ts';
import { runShadow } from '../http/infer/run-shadow.ts';
import { Shadows } from '../http/infer/shadow.ts';
import type { Lifecycle } from '../http/lifecycle.ts';
import type { Services } from '../http/services.ts';
import type { HttpSettings, PlacementSettings } from '../http/settings.ts';
import { Publisher } from '../repository/index/publisher.ts';
import { ModelRepository } from '../repository/model-repository.ts';
import { ReadableVersions } from '../repository/readable.ts';
import type { TrustedPublisher } from '../repository/signing/publishers.ts';
import type { OriginPool } from '../routing/origin-pool.ts';
import type { Tier } from '../routing/place.ts';
import { RunCosts } from '../routing/run-costs.ts';
import { Admission } from '../scheduler/admission.ts';
import { ByteBudget } from '../scheduler/byte-budget.ts';
import type { DynamicBatcher } from '../scheduler/dynamic-batcher.ts';
import type { GradientLimit } from '../scheduler/gradient-limit.ts';
import { MeasuredRuns } from '../scheduler/measured-runs.ts';
import type { Defer, StateStore, VerifiedBlobStore } from '../storage/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ShadowFigures } from '../telemetry/shadow-figures.ts';
import { Statistics } from '../telemetry/statistics.ts';
import type { CallerConfig } from './caller-config.ts';
import { createGovernance, type GovernanceParts } from './governance.ts';
import { composeSubjects } from './subjects.ts';

/** What the WASM engine takes of its memory before any model: the 256 pages that the module asks for at its start. */
export const wasmBaseBytes = 256 * 65_536;

/** How much longer than its time a request to the origin may be at it. */
const hopSlackMs = 10_000;

/** Models that are remembered to have run out of memory: more than an isolate could load. */
const maxOutOfMemory = 1024;
/** Versions that the log has called too old to be batched. */
const maxUnmeasured = 4096;

/** Work that an origin takes on in any case, in milliseconds: less than this is no queue that anybody would notice. */
const minWorkMs = 50;

/** A model that has not run yet is let in as if so many requests to it were that much work. */
const requestsOfUnknownCost = 64;

/** Copies that nobody waits for are made while so much of what may be in flight is not. */
const shadowUtilisation = 0.5;

/** What every platform is configured with. */
export interface ServiceConfig {
  /** What is wrong with the configuration and does not keep the server from starting. */
  readonly warnings?: readonly string[];
  readonly http: HttpSettings;
  readonly placement: PlacementSettings;
  readonly memoryCapBytes: number;
  /** What request bodies may take together, and the least pace of an upload. */
  readonly bodies: { readonly maxBytes: number; readonly pace: Pace };
  readonly maxInFlight: number;
  /** Of an edge; an origin sends nothing on. */
  readonly maxOriginInFlight?: number;
  readonly maxOriginHeldBytes?: number;
  readonly maxQueuePerModel: number;
  readonly waitTimeoutMs: number;
  readonly loadTimeoutMs: number;
  readonly indexMaxAgeMs: number;
  readonly publishers: readonly TrustedPublisher[];
  /** Of an edge: an origin is called by edges. */
  readonly callers?: CallerConfig;
  /** Of an edge: what it says of what is done with whose data. */
  readonly subjects?: NoticeOptions;
}

/** What differs from platform to platform. */
export interface Platform {
  readonly tier: Tier;
  readonly engine: Engine;
  /** What the engine takes of its memory before any model. */
  readonly engineBaseBytes: number;
  readonly state: StateStore;
  /** Where accounts are kept; undefined where this server keeps none. */
  readonly records?: StateStore | undefined;
  /** What answers are accounted for with; undefined of an origin. */
  readonly governance?: GovernanceParts | undefined;
  /** What the isolates of one place count rates by together; undefined: each counts by itself. */
  readonly sharedCounter?: SharedCounter | undefined;
  /** The header in which the platform, and nobody else, writes where a connection comes from. */
  readonly addressHeader?: string | undefined;
  /** Where models are published to. */
  readonly durable: VerifiedBlobStore;
  /** Where they are read from: the durable tier behind faster ones. */
  readonly blobs: VerifiedBlobStore;
  readonly clock: Clock;
  /** Milliseconds since 1970. Default: the system's. */
  readonly now?: (() => number) | undefined;
  readonly defer: Defer;
  readonly logger: Logger;
  /** Of an edge. */
  readonly origin?: OriginPool | undefined;
  /** Of an origin. */
  readonly batcher?: DynamicBatcher | undefined;
  readonly limiter?: GradientLimit | undefined;
  readonly lifecycle?: Lifecycle | undefined;
}

/** The services of one isolate or process over `platform`. */
export function composeServices(config: ServiceConfig, platform: Platform): Services {
  const { engine, engineBaseBytes, state, durable, blobs, clock, defer, limiter, logger } = platform;
  const { publishers, indexMaxAgeMs } = config;
  const { records, now = Date.now } = platform;
  const governance =
    platform.governance &&
    records &&
    createGovernance(platform.governance, { records, clock, now, defer, logger });
  for (const warning of config.warnings ?? [])
    logger.write({ level: 'error', event: 'configuration', cause: new Error(warning) });
  const services: Services = {
    settings: config.http,
    tier: platform.tier,
    placement: config.placement,
    origin: platform.origin,
    batcher: platform.batcher,
    lifecycle: platform.lifecycle,
    governance,
    accounts:
      records &&
      createAccounts({
        state: records,
        clock,
        defer,
        now,
        issuers: config.callers?.issuers,
        pseudonym: governance && tenantPseudonyms(governance.vault),
      }),
    rates: config.callers && createRates(config.callers, platform),
    bodies: {
      budget: new ByteBudget({ maxBytes: config.bodies.maxBytes, key: 'EDGEWISE_MAX_BODIES_MIB', clock }),
      pace: config.bodies.pace,
      leaseMs: config.http.requestTimeoutMs + hopSlackMs,
      endsWithCaller: platform.tier === 'edge',
      clock,
    },
    repository: new ModelRepository({ state, blobs, clock, defer, publishers, indexMaxAgeMs }),
    publisher: new Publisher({ state, blobs: durable, publishers }),
    readable: new ReadableVersions({ blobs, clock }),
    blobs,
    pool: new SessionPool({
      engine,
      budgetBytes: config.memoryCapBytes - engineBaseBytes,
      clock,
      defer,
      waitTimeoutMs: config.waitTimeoutMs,
      loadTimeoutMs: config.loadTimeoutMs,
      maxQueuePerSession: config.maxQueuePerModel,
      onStopped: ({ key, name, version, isKeptOut }, cause) => {
        const what = { level: 'error', model: name, version, digest: key } as const;
        logger.write({ ...what, event: cause.isOverdue ? 'run_stopped' : 'engine_ended', cause });
        if (isKeptOut) logger.write({ ...what, event: 'model_kept_out' });
      },
    }),
    measuredRuns:
      platform.tier === 'origin'
        ? new MeasuredRuns({ unknownMs: minWorkMs / requestsOfUnknownCost })
        : undefined,
    unbounded: new Lru({ maxBytes: maxOutOfMemory }),
    outOfMemory: new Lru({ maxBytes: maxOutOfMemory }),
    runCosts: new RunCosts(),
    unmeasured: new Lru({ maxBytes: maxUnmeasured }),
    edgeCapBytes: config.memoryCapBytes,
    engineBaseBytes,
    admission: new Admission({
      maxInFlight: config.maxInFlight,
      maxWaitMs: config.waitTimeoutMs,
      clock,
      ...(limiter === undefined ? {} : { limiter, minWorkMs }),
    }),
    hops: new Admission({
      maxInFlight: config.maxOriginInFlight ?? 0,
      maxBytes: config.maxOriginHeldBytes ?? 0,
      // A request that is cancelled on Cloudflare gives nothing back.
      leaseMs: config.http.requestTimeoutMs + hopSlackMs,
      clock,
    }),
    statistics: new Statistics(),
    logger,
    clock,
  };
  const { admission, repository } = services;
  return {
    ...services,
    subjects: composeSubjects(config.subjects, { ...services, records, now }),
    shadows: new Shadows({
      clock,
      random: Math.random,
      defer,
      logger,
      figures: new ShadowFigures(),
      resolve: (name, version) => repository.resolve(name, version),
      run: (...shadow) => runShadow(services, ...shadow),
      mayRun: () => admission.utilisation < shadowUtilisation,
    }),
  };
}

function createRates({ keyRate, anonymousRate }: CallerConfig, platform: Platform): Rates {
  const { clock, defer, sharedCounter, addressHeader } = platform;
  const local = new SlidingWindows(clock);
  return new Rates({
    keys:
      sharedCounter === undefined ? local : createSharedRate({ local, shared: sharedCounter, clock, defer }),
    addresses: new SlidingWindows(clock),
    keyRate,
    anonymousRate,
    addressHeader,
  });
}
