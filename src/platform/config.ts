/**
 * Every configuration key of the worker, with its purpose and its default. Read once from variables and secrets; an
 * unusable value fails the start with the key, the value and what was expected.
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
  /** Cap of the WASM memory: the share of the isolate's 128 MB for models. JavaScript uses the rest. */
  EDGEWISE_MEMORY_CAP_MIB: whole(32, 4096).default(96),
  /** The origin pool as JSON, one entry per endpoint (`routing/endpoint-config.ts`). Empty: all requests run at the edge. */
  EDGEWISE_ORIGIN_POOL: originPool,
  /** Whether a replayable request may be sent to a second endpoint if the first is late: at most 2 % more requests. */
  EDGEWISE_HEDGING: z.enum(['on', 'off']).default('on'),
  /** Longest time of a request at the origin, retries included, unless its caller sets a shorter time. */
  EDGEWISE_REQUEST_TIMEOUT_MS: whole(10, 600_000).default(60_000),
  /** Requests from one isolate that may be in flight at the origin. Beyond it, the edge answers, or refuses with 429. */
  EDGEWISE_MAX_ORIGIN_IN_FLIGHT: whole(1, 10_000).default(512),
  /** Memory of the isolate's 128 MB that they may hold together, for a second attempt. Beyond it, the same. */
  EDGEWISE_MAX_ORIGIN_HELD_MIB: whole(1, 512).default(32),
  /** Longest run of one request at the edge if an origin can answer it: a run blocks every other request of its isolate. */
  EDGEWISE_EDGE_BUDGET_MS: whole(1, 300_000).default(1000),
  /** Longest expected wait of a request at the edge if an origin can answer it. */
  EDGEWISE_EDGE_WAIT_MS: whole(0, 300_000).default(500),
  /** Largest body that is held in memory for a second attempt at the origin; larger bodies are streamed to it once, for models that run there. */
  EDGEWISE_MAX_REPLAY_MIB: whole(1, 512).default(4),
  /** Largest body that is streamed to the origin. It is not held in this isolate's memory. */
  EDGEWISE_MAX_STREAMED_MIB: whole(1, 5120).default(64),
});

/** Names of the worker's configuration keys. */
export const workerVariableNames: ReadonlySet<string> = new Set(Object.keys(workerVariables.shape));

export interface Config extends ServiceConfig {
  readonly governance: GovernanceConfig;
  readonly callers: CallerConfig;
  readonly policy: PolicyConfig;
  readonly originPool: readonly EndpointConfig[];
  readonly hedging: boolean;
  readonly log: 'off' | 'errors' | 'all';
}

/** @throws Error naming each wrong key, its value and what was expected; values of secrets are not repeated. */
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

/** Returns the names of secrets in the pool's configuration; they may be any names. */
function secretNames(pool: readonly EndpointConfig[]): readonly string[] {
  return pool.flatMap(({ auth }) => (auth === undefined ? [] : Object.values(auth)));
}
