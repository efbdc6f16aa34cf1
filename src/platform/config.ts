/**
 * Every configuration key of the worker, with its reason and its default. Read once from variables and secrets; a value
 * that is not usable fails the start with the key, the value and what was wanted.
 */
import { z } from 'zod';
import { toEdgewiseError } from '../errors.ts';
import { type EndpointConfig, parseOriginPool } from '../routing/endpoint-config.ts';
import { type CallerConfig, callerConfig, callerVariables } from './caller-config.ts';
import type { ServiceConfig } from './compose.ts';
import { type GovernanceConfig, governanceConfig, governanceVariables } from './governance-config.ts';
import { type PolicyConfig, policyConfig, policyVariables } from './policy-config.ts';
import { httpSettings, serverLimits, serverVariables } from './server-config.ts';
import { subjectConfig, subjectVariables } from './subject-config.ts';
import { unknownVariables } from './unknown-variables.ts';
import { mebibyte, parseVariables, type Variables, whole } from './variables.ts';

const originPool = z
  .string()
  .default('')
  .transform((text, context): readonly EndpointConfig[] => {
    try {
      return text.trim() === '' ? [] : parseOriginPool(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: toEdgewiseError(error).message });
      return z.NEVER;
    }
  });

const workerVariables = z.object({
  ...serverVariables({
    maxBodyMib: 16,
    maxJsonMib: 8,
    maxAnswerMib: 16,
    maxBodiesMib: 24,
    maxInFlight: 64,
    maxQueuePerModel: 32,
    loadTimeoutMs: 30_000,
  }),
  ...governanceVariables,
  ...callerVariables,
  ...policyVariables,
  ...subjectVariables,
  /** Cap of the WASM memory: what a model may take of the isolate's 128 MB. The rest is JavaScript's. */
  EDGEWISE_MEMORY_CAP_MIB: whole(32, 4096).default(96),
  /** The origin pool as JSON, one entry an endpoint (`routing/endpoint-config.ts`). Empty: all runs at the edge. */
  EDGEWISE_ORIGIN_POOL: originPool,
  /** Whether a replayable request may be sent to a second endpoint when the first is late: at most 2 % more requests. */
  EDGEWISE_HEDGING: z.enum(['on', 'off']).default('on'),
  /** Longest time that a request may take at the origin, retries included, where its caller sets no shorter one. */
  EDGEWISE_REQUEST_TIMEOUT_MS: whole(10, 600_000).default(60_000),
  /** Requests that may be at the origin from one isolate. Beyond, the edge answers or 429. */
  EDGEWISE_MAX_ORIGIN_IN_FLIGHT: whole(1, 10_000).default(512),
  /** What they may hold of the isolate's 128 MB together, for a second attempt. Beyond, as above. */
  EDGEWISE_MAX_ORIGIN_HELD_MIB: whole(1, 512).default(32),
  /** Time that one request may take at the edge where an origin can answer it: a run blocks every other request of its isolate. */
  EDGEWISE_EDGE_BUDGET_MS: whole(1, 300_000).default(1000),
  /** Time that a request may be expected to wait at the edge where an origin can answer it. */
  EDGEWISE_EDGE_WAIT_MS: whole(0, 300_000).default(500),
  /** Largest body that is held for a second attempt at the origin; larger ones, for models of the origin, are streamed to it once. */
  EDGEWISE_MAX_REPLAY_MIB: whole(1, 512).default(4),
  /** Largest body that is streamed to the origin: it does not stand in this isolate's memory. */
  EDGEWISE_MAX_STREAMED_MIB: whole(1, 5120).default(64),
});

/** The keys of the worker. */
export const workerVariableNames: ReadonlySet<string> = new Set(Object.keys(workerVariables.shape));

export interface Config extends ServiceConfig {
  readonly governance: GovernanceConfig;
  readonly callers: CallerConfig;
  readonly policy: PolicyConfig;
  readonly originPool: readonly EndpointConfig[];
  readonly hedging: boolean;
  readonly log: 'off' | 'errors' | 'all';
}

/** @throws Error naming each wrong key, its value and what was wanted; the values of secrets are not repeated. */
export function readConfig(variables: Variables): Config {
  const values = parseVariables(workerVariables, variables);
  const known = new Set([...workerVariableNames, ...secretNames(values.EDGEWISE_ORIGIN_POOL)]);
  return {
    warnings: unknownVariables(variables, known),
    ...serverLimits(values),
    governance: governanceConfig(values),
    callers: callerConfig(values),
    policy: policyConfig(values),
    subjects: subjectConfig(values, {
      controller: values.EDGEWISE_ISSUER,
      jurisdiction: values.EDGEWISE_JURISDICTION,
      recipients: values.EDGEWISE_ORIGIN_POOL,
    }),
    http: httpSettings(values, {
      purposes: values.EDGEWISE_PURPOSES,
      maxReplayBytes: values.EDGEWISE_MAX_REPLAY_MIB * mebibyte,
      maxStreamedBytes: values.EDGEWISE_MAX_STREAMED_MIB * mebibyte,
      requestTimeoutMs: values.EDGEWISE_REQUEST_TIMEOUT_MS,
    }),
    placement: {
      jurisdiction: values.EDGEWISE_JURISDICTION,
      edgeBudgetMs: values.EDGEWISE_EDGE_BUDGET_MS,
      maxEdgeWaitMs: values.EDGEWISE_EDGE_WAIT_MS,
    },
    maxOriginInFlight: values.EDGEWISE_MAX_ORIGIN_IN_FLIGHT,
    maxOriginHeldBytes: values.EDGEWISE_MAX_ORIGIN_HELD_MIB * mebibyte,
    originPool: values.EDGEWISE_ORIGIN_POOL,
    hedging: values.EDGEWISE_HEDGING === 'on',
    memoryCapBytes: values.EDGEWISE_MEMORY_CAP_MIB * mebibyte,
  };
}

/** Secrets that the pool's configuration names: they may be called anything. */
function secretNames(pool: readonly EndpointConfig[]): readonly string[] {
  return pool.flatMap(({ auth }) => (auth === undefined ? [] : Object.values(auth)));
}
