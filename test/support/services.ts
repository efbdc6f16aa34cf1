/** The whole HTTP service in Node: the real app, repository, pool and WASM engine over stores in memory. */
import { createHash } from 'node:crypto';
import { type Clock, systemClock } from '../../src/async/clock.ts';
import { loadNodeBuilds } from '../../src/engine/ort-wasm-node.ts';
import { createOrtWasmPair } from '../../src/engine/ort-wasm-pair.ts';
import type { Engine } from '../../src/engine/types.ts';
import type { ReceiptLog } from '../../src/governance/log/types.ts';
import type { SignedPack } from '../../src/governance/policy/packs.ts';
import { createApp } from '../../src/http/app.ts';
import type { Services } from '../../src/http/services.ts';
import { composeServices, wasmBaseBytes } from '../../src/platform/compose.ts';
import { readConfig } from '../../src/platform/config.ts';
import type { GovernanceParts } from '../../src/platform/governance.ts';
import { type GovernanceConfig, importGovernanceKeys } from '../../src/platform/governance-config.ts';
import { createOriginPool } from '../../src/platform/origin-pool.ts';
import type { Manifest } from '../../src/repository/schema.ts';
import type { Tier } from '../../src/routing/place.ts';
import type { Endpoint } from '../../src/routing/types.ts';
import { DynamicBatcher } from '../../src/scheduler/dynamic-batcher.ts';
import { verifyReads } from '../../src/storage/tiered.ts';
import type { StateStore, VerifiedBlobStore } from '../../src/storage/types.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { testGovernanceBindings } from './governance-keys.ts';
import { memoryLog } from './memory-log.ts';
import { memoryMeters } from './memory-meters.ts';
import { memoryBlobStore, memoryStateStore } from './memory-stores.ts';
import { signManifest, trustedPublishers } from './publisher.ts';
import { licenceBytes, licenceDigest } from './terms.ts';
import { type TinyModel, tinyManifest } from './tiny-model.ts';

export const adminKey = 'ewa_test-admin';
/** Header in which a test sets the address that a request comes from. */
export const addressHeader = 'x-test-address';
export const callerKey = 'ew_test-caller';

export interface TestServicesOptions {
  readonly variables?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  /** Milliseconds since 1970. Default: the system's. */
  readonly now?: () => number;
  /** Store of indexes. Default: in memory. */
  readonly state?: StateStore;
  /** Store of blobs. Default: in memory. */
  readonly durable?: VerifiedBlobStore;
  /** Store of accounts. Default: in memory. */
  readonly records?: StateStore;
  readonly engine?: Engine;
  /** Default: a log in memory. */
  readonly receipts?: ReceiptLog;
  /** Policy packs in force. Default: none. */
  readonly packs?: readonly SignedPack[];
  /** Default: an edge. */
  readonly tier?: Tier;
  /** Endpoints of the origin pool. Default: none. */
  readonly endpoints?: readonly Endpoint[];
}

export interface TestService {
  readonly services: Services;
  readonly logLines: readonly string[];
  /** @param path A path on `http://edge.test`, or a whole address. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

export async function testService(options: TestServicesOptions = {}): Promise<TestService> {
  const config = readConfig({
    ...testGovernanceBindings,
    EDGEWISE_OPEN_MODELS: '*',
    EDGEWISE_ADMIN_KEY_SHA256: sha256Hex(adminKey),
    EDGEWISE_CALLER_KEYS_SHA256: sha256Hex(callerKey),
    EDGEWISE_LOG: 'all',
    EDGEWISE_RATE_PER_MINUTE: '0',
    EDGEWISE_ANONYMOUS_RATE_PER_MINUTE: '0',
    EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
    ...options.variables,
  });
  const defer = (work: Promise<unknown>) => void work;
  const logLines: string[] = [];
  const logger = createLogger({ level: config.log, write: (line) => logLines.push(line) });
  const clock = options.clock ?? systemClock;
  const durable = options.durable ?? verifyReads(memoryBlobStore({ maxBytes: 256 * 1024 * 1024 }), { defer });
  const services = composeServices(config, {
    tier: options.tier ?? 'edge',
    engineBaseBytes: options.tier === 'origin' ? 0 : wasmBaseBytes,
    engine:
      options.engine ??
      createOrtWasmPair({
        ...(await loadNodeBuilds()),
        memoryCapBytes: config.memoryCapBytes,
        maxOutputBytes: config.http.maxAnswerBytes,
      }),
    state: options.state ?? memoryStateStore(),
    records: options.records ?? memoryStateStore(),
    governance:
      options.tier === 'origin' ? undefined : await testGovernance(config.governance, clock, options),
    now: options.now,
    addressHeader,
    durable,
    blobs: durable,
    clock,
    defer,
    logger,
    batcher:
      options.tier === 'origin'
        ? new DynamicBatcher({ clock, maxQueuePerKey: config.maxQueuePerModel })
        : undefined,
    origin: createOriginPool({
      endpoints: options.endpoints ?? [],
      hedging: config.hedging,
      clock,
      defer,
      logger,
    }),
  });
  const app = createApp(services);
  return {
    services,
    logLines,
    fetch: async (path, init) =>
      app.fetch(new Request(/^https?:/.test(path) ? path : `http://edge.test${path}`, init)),
  };
}

async function testGovernance(
  config: GovernanceConfig,
  clock: Clock,
  { receipts, packs = [], now = Date.now }: TestServicesOptions,
): Promise<GovernanceParts> {
  const { logKey, witnesses } = config;
  return {
    keys: await importGovernanceKeys(config),
    packs,
    units: memoryMeters(now),
    receipts: receipts ?? (await memoryLog({ clock, logKey, witnesses: witnesses.join(',') })),
  };
}

/** Publishes a model without separate weights. */
export async function publishTiny(
  { services }: TestService,
  graph: Uint8Array<ArrayBuffer>,
  model: TinyModel,
  aliases: readonly string[] = [],
): Promise<Manifest> {
  const manifest = await tinyManifest(graph, model);
  await services.publisher.putBlob(manifest.graph.digest, graph);
  await services.publisher.putBlob(licenceDigest, licenceBytes);
  await services.publisher.publishVersion(manifest, await signManifest(manifest), { aliases });
  services.repository.invalidate(manifest.name);
  return manifest;
}

export function bearer(key: string): { readonly authorization: string } {
  return { authorization: `Bearer ${key}` };
}

function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
