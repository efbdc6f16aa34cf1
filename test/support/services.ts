/** The whole HTTP service in Node: the real app, repository, pool and WASM engine over stores in memory. */
import { createHash } from 'node:crypto';
import { type Clock, systemClock } from '../../src/async/clock.ts';
import { createOrtWasmEngine } from '../../src/engine/ort-wasm.ts';
import { loadNodeBuild } from '../../src/engine/ort-wasm-node.ts';
import { SessionPool } from '../../src/engine/session-pool.ts';
import type { Engine } from '../../src/engine/types.ts';
import { createApp } from '../../src/http/app.ts';
import type { Services } from '../../src/http/services.ts';
import { readConfig } from '../../src/platform/config.ts';
import { ModelRepository } from '../../src/repository/model-repository.ts';
import { Publisher } from '../../src/repository/publisher.ts';
import { type Manifest, manifestSchemaId } from '../../src/repository/schema.ts';
import { Admission } from '../../src/scheduler/admission.ts';
import { digestOf } from '../../src/storage/digest.ts';
import { memoryBlobStore, memoryStateStore } from '../../src/storage/memory.ts';
import { tiered, verified } from '../../src/storage/tiered.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { Statistics } from '../../src/telemetry/statistics.ts';

const engineBaseBytes = 256 * 65_536;

export const adminKey = 'ewa_test-admin';
export const callerKey = 'ew_test-caller';

export interface TestServicesOptions {
  readonly variables?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  readonly engine?: Engine;
}

export interface TestService {
  readonly services: Services;
  readonly logLines: readonly string[];
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

export async function testService(options: TestServicesOptions = {}): Promise<TestService> {
  const config = readConfig({
    EDGEWISE_OPEN_MODELS: '*',
    EDGEWISE_ADMIN_KEY_SHA256: sha256Hex(adminKey),
    EDGEWISE_CALLER_KEYS_SHA256: sha256Hex(callerKey),
    EDGEWISE_LOG: 'all',
    ...options.variables,
  });
  const clock = options.clock ?? systemClock;
  const defer = (work: Promise<unknown>) => void work;
  const logLines: string[] = [];
  const log = createLog({ level: config.log, write: (line) => logLines.push(line) });
  const state = memoryStateStore();
  const durable = memoryBlobStore({ maxBytes: 256 * 1024 * 1024 });
  const blobs = tiered([durable], { defer });
  const engine =
    options.engine ??
    createOrtWasmEngine({ build: await loadNodeBuild(), memoryCapBytes: config.memoryCapBytes });
  const services: Services = {
    settings: config.http,
    repository: new ModelRepository({ state, blobs, clock, defer, indexMaxAgeMs: config.indexMaxAgeMs }),
    publisher: new Publisher({ state, blobs: verified(durable, { defer }) }),
    blobs,
    pool: new SessionPool({
      engine,
      budgetBytes: config.memoryCapBytes - engineBaseBytes,
      clock,
      defer,
      waitTimeoutMs: config.waitTimeoutMs,
      loadTimeoutMs: config.loadTimeoutMs,
      maxQueuePerSession: config.maxQueuePerModel,
    }),
    edgeCapBytes: config.memoryCapBytes,
    engineBaseBytes,
    admission: new Admission({ maxInFlight: config.maxInFlight }),
    statistics: new Statistics(),
    log,
    clock,
  };
  const app = createApp(services);
  return {
    services,
    logLines,
    fetch: async (path, init) => app.fetch(new Request(`http://edge.test${path}`, init)),
  };
}

export type TinyModel = Pick<Manifest, 'name' | 'inputs' | 'outputs'> & Partial<Manifest>;

/** Publishes a model that is all graph. */
export async function publishTiny(
  { services }: TestService,
  graph: Uint8Array<ArrayBuffer>,
  model: TinyModel,
  aliases: readonly string[] = [],
): Promise<Manifest> {
  const digest = await digestOf(graph);
  const manifest: Manifest = {
    schema: manifestSchemaId,
    version: '1',
    createdAt: '2026-01-01T00:00:00.000Z',
    description: 'made for a test',
    platform: 'onnx_onnxv1',
    creator: 'Edgewise',
    licence: 'Apache-2.0',
    tier: 'auto',
    maxBatchSize: 0,
    labels: {},
    graph: { digest, byteLength: graph.byteLength },
    sourceDigest: digest,
    inputsDigest: digest,
    opsets: { 'ai.onnx': 21 },
    edgeProfile: {
      engine: 'test',
      memoryCapBytes: 96 * 1024 * 1024,
      sessionBytes: 65_536,
      peakBytes: engineBaseBytes + 65_536,
      createMs: 1,
      runs: [{ batchSize: 1, inputElements: 1, microseconds: 1 }],
    },
    ...model,
  };
  await services.publisher.putBlob(digest, graph);
  await services.publisher.publishVersion(manifest, { aliases });
  services.repository.invalidate(manifest.name);
  return manifest;
}

export function bearer(key: string): { readonly authorization: string } {
  return { authorization: `Bearer ${key}` };
}

function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
