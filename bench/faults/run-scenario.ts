/** Runs one scenario with a new worker: load before, during and after the fault, and the result of each request. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RequestBody } from '../bodies.ts';
import { binaryBody, randomInput } from '../bodies.ts';
import { type Answer, Connection, measureLatencies, requestBytes, sendOk } from '../load.ts';
import { openLoop, type Sample } from '../open-loop.ts';
import { startWorkerd } from '../workerd.ts';
import type { Kind, Scenario } from './scenarios.ts';
import { models, type Setup, workerBindings } from './setup.ts';
import { type PoolEvent, type PoolSample, parsePoolEvent, readPool, watchPool } from './watch.ts';

export const requestsPerSecond = 200;
/** Load before the measurement, which fills the budgets' window and warms up the code. */
const leadInMs = 4000;
const beforeMs = 8000;
const afterMs = 10_000;
const patienceMs = 5000;

/** `repair` lasts until the endpoints are back. It is not measured, because starting processes take CPU time from the others. */
export type Phase = 'before' | 'during' | 'repair' | 'after';

export interface Observed {
  readonly kind: Kind;
  readonly phase: Phase;
  readonly dueMs: number;
  readonly ms: number;
  /** 0 if there was no answer. */
  readonly status: number;
  /** Value of `Edgewise-Reason`. */
  readonly reason: string | undefined;
  readonly retryAfterSeconds: number | undefined;
  /** Undefined for a right answer. */
  readonly failure: string | undefined;
}

export interface Outcome {
  readonly scenario: Scenario;
  readonly observed: readonly Observed[];
  /** Start of the load, start of the fault, start of the repair and its end, by `performance.now`. */
  readonly startMs: number;
  readonly beganMs: number;
  readonly repairedFromMs: number;
  readonly endedMs: number;
  readonly events: readonly PoolEvent[];
  readonly pool: readonly PoolSample[];
  /** Requests sent to the worker, including the lead-in. */
  readonly sent: number;
  /** Attempts begun by the worker's pool, received by the endpoints, and cancelled before their run. */
  readonly attempts: { readonly begun: number; readonly received: number; readonly leftEarly: number };
}

const input = binaryBody(randomInput('input', [1, 10]));
const requestOf: Readonly<Record<Kind, RequestBody>> = {
  originOnly: input,
  fits: { ...input, headers: { ...input.headers, 'Edgewise-Tier': 'origin' } },
};

export async function runScenario(setup: Setup, scenario: Scenario): Promise<Outcome> {
  const { bundle, state } = setup;
  const { kinds, hedging } = scenario;
  const events: PoolEvent[] = [];
  const server = await startWorkerd({
    bundle,
    state,
    bindings: workerBindings(setup, hedging),
    onLog: (line) => {
      const event = parsePoolEvent(line);
      if (event !== undefined) events.push(event);
    },
  });
  const { url } = server;
  const receivedBefore = await countReceived(setup);
  const right = new Map<Kind, Buffer>();
  for (const kind of kinds) right.set(kind, await warmUp(url, kind));
  const requestsBefore = sumRequests(await readPool(url));

  const { samples, pool, ...times } = await applyLoad(url, scenario, setup);
  const last = await readPool(url);
  const now = await countReceived(setup);
  await server.stop();
  return {
    scenario,
    observed: kinds.flatMap((kind, at) =>
      (samples[at] ?? [])
        .filter(({ dueMs }) => dueMs >= times.startMs + leadInMs)
        .map((sample) => ({
          ...observe(sample, right.get(kind)),
          kind,
          phase: phaseAt(sample.dueMs, times),
        })),
    ),
    ...times,
    events,
    pool: [...pool, last],
    sent: samples.reduce((sum, { length }) => sum + length, 0),
    attempts: {
      begun: sumRequests(last) - requestsBefore,
      received: now.received - receivedBefore.received - requestsBefore,
      leftEarly: now.leftEarly - receivedBefore.leftEarly,
    },
  };
}

/** Runs the load and the fault. Returns the samples of each kind of request, those of the pool, and the times of the phases. */
async function applyLoad(url: URL, { kinds, duringMs, begin, end }: Scenario, { origins }: Setup) {
  const stop = new AbortController();
  const watching = watchPool(url, stop.signal);
  const startMs = performance.now();
  const loads = kinds.map((kind) =>
    openLoop(url, encodeRequest(url, kind), {
      requestsPerSecond: requestsPerSecond / kinds.length,
      until: stop.signal,
      patienceMs,
    }),
  );
  await sleep(leadInMs + beforeMs);
  const beganMs = performance.now();
  await begin(origins);
  await sleep(duringMs);
  const repairedFromMs = performance.now();
  await end(origins);
  const endedMs = performance.now();
  await sleep(afterMs);
  stop.abort();
  return {
    samples: await Promise.all(loads),
    pool: await watching,
    startMs,
    beganMs,
    repairedFromMs,
    endedMs,
  };
}

function phaseAt(
  dueMs: number,
  { beganMs, repairedFromMs, endedMs }: Pick<Outcome, 'beganMs' | 'repairedFromMs' | 'endedMs'>,
): Phase {
  if (dueMs < beganMs) return 'before';
  if (dueMs < repairedFromMs) return 'during';
  return dueMs < endedMs ? 'repair' : 'after';
}

/** Warms up the worker and returns the right answer. */
async function warmUp(url: URL, kind: Kind): Promise<Buffer> {
  const bytes = encodeRequest(url, kind);
  const connection = await Connection.open(url);
  const { body } = await sendOk(connection, bytes);
  await measureLatencies(connection, bytes, 50);
  connection.close();
  return body;
}

function encodeRequest(url: URL, kind: Kind): Buffer {
  return requestBytes(url, `/v2/models/${models[kind]}/infer`, requestOf[kind]);
}

function observe(
  { dueMs, ms, answer, failure }: Sample,
  right: Buffer | undefined,
): Omit<Observed, 'kind' | 'phase'> {
  const retryAfter = answer && readHeader(answer, 'retry-after');
  return {
    dueMs,
    ms,
    status: answer?.status ?? 0,
    reason: answer && readHeader(answer, 'edgewise-reason'),
    retryAfterSeconds: retryAfter === undefined ? undefined : Number(retryAfter),
    failure: failure ?? (answer && findFailure(answer, right)),
  };
}

function findFailure({ status, body }: Pick<Answer, 'status' | 'body'>, right: Buffer | undefined) {
  if (status !== 200) return `status ${status}: ${body.toString()}`;
  return right !== undefined && isNear(body, right) ? undefined : 'a wrong answer';
}

/** Reports whether the floats are equal up to the last bits: WASM and native code sum in different orders. */
function isNear(one: Buffer, other: Buffer): boolean {
  if (one.byteLength !== other.byteLength) return false;
  const floats = (body: Buffer) =>
    new Float32Array(
      body.buffer.slice(body.byteOffset + body.byteLength - 40, body.byteOffset + body.byteLength),
    );
  const expected = floats(other);
  return floats(one).every((value, at) => Math.abs(value - (expected[at] ?? Number.NaN)) < 1e-4);
}

function readHeader({ headers }: Pick<Answer, 'headers'>, name: string): string | undefined {
  return new RegExp(`\r\n${name}: *([^\r]*)\r`, 'i').exec(headers)?.[1];
}

function sumRequests({ endpoints }: PoolSample): number {
  return endpoints.reduce((sum, { requests }) => sum + requests, 0);
}

async function countReceived({ origins }: Setup): Promise<{ received: number; leftEarly: number }> {
  const all = await Promise.all(origins.map((origin) => origin.received()));
  return {
    received: all.reduce((sum, one) => sum + one.received, 0),
    leftEarly: all.reduce((sum, one) => sum + one.leftEarly, 0),
  };
}
