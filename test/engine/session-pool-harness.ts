/** A session pool over a traced engine, whose creates, runs and sources the test can hold. */
import { expect } from 'vitest';
import { type PoolModel, SessionPool, type SessionPoolOptions } from '../../src/engine/session-pool.ts';
import type { Feeds } from '../../src/engine/types.ts';
import { EdgewiseError, type ErrorCode } from '../../src/errors.ts';
import { ManualClock } from '../support/clock.ts';
import { createTracedEngine, sourceOf } from '../support/traced-engine.ts';

export const feeds: Feeds = new Map();

/** Waits until all promises that can settle have settled: a macrotask runs after the microtasks. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

export function throws(code: ErrorCode): unknown {
  return expect.objectContaining({ code });
}

/** A pool whose creates, runs and sources wait at the gates that `hold` sets. */
export function harness(options: Partial<SessionPoolOptions> & { capBytes?: number } = {}) {
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const gateOf = (name: string) => gates.get(name)?.promise ?? Promise.resolve();
  const hold = (name: string) => {
    const gate = Promise.withResolvers<void>();
    gates.set(name, gate);
    return {
      letGo: async () => {
        await settle();
        gates.delete(name);
        gate.resolve();
        await settle();
      },
      fail: async (code: ErrorCode) => {
        await settle();
        gates.delete(name);
        gate.reject(new EdgewiseError(code, 'let fail'));
        await settle();
      },
    };
  };
  const clock = new ManualClock();
  const engine = createTracedEngine({
    ...(options.capBytes === undefined ? {} : { capBytes: options.capBytes }),
    duringCreate: (name) => gateOf(`create ${name}`),
    duringRun: (name) => gateOf(`run ${name}`),
  });
  const deferred: Promise<unknown>[] = [];
  const pool = new SessionPool({
    engine,
    budgetBytes: 10,
    clock,
    defer: (work) => deferred.push(work),
    waitTimeoutMs: 100,
    loadTimeoutMs: 1000,
    maxQueuePerSession: 2,
    ...options,
  });
  const model = (name: string, bytes: number): PoolModel => ({
    key: name,
    name,
    version: '1',
    bytes,
    load: async () => {
      await gateOf(`source ${name}`);
      return sourceOf(name, bytes);
    },
  });
  return { clock, engine, pool, model, hold, deferred };
}
