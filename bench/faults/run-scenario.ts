/** One scenario from a new worker on: load before, during and after the fault, and what came of each request. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RequestBody } from '../bodies.ts';
import { binaryBody, randomInput } from '../bodies.ts';
import { type Answer, Connection, latencies, requestBytes, sendOk } from '../load.ts';
import { openLoop, type Sample } from '../open-loop.ts';
import { startWorkerd } from '../workerd.ts';
import type { Kind, Scenario } from './scenarios.ts';
import { models, type Setup, workerBindings } from './setup.ts';
import { type PoolEvent, type PoolSample, poolEvent, poolNow, watchPool } from './watch.ts';

export const requestsPerSecond = 200;
/** Load that is in no figure: the budgets' window fills, the code gets warm. */
const leadInMs = 4000;
const beforeMs = 8000;
const afterMs = 10_000;
const patienceMs = 5000;

/** `repair`: until the endpoints are back. On one machine, processes that start take from those that work. */
export type Phase = 'before' | 'during' | 'repair' | 'after';

export interface Observed {
  readonly kind: Kind;
  readonly phase: Phase;
  readonly dueMs: number;
  readonly ms: number;
  /** 0: no answer. */
  readonly status: number;
  /** `Edgewise-Reason` */
  readonly reason: string | undefined;
  readonly retryAfterSeconds: number | undefined;
  /** Absent: answered with what it should be. */
  readonly failure: string | undefined;
}

export interface Outcome {
  readonly scenario: Scenario;
  readonly observed: readonly Observed[];
  /** When the fault began, when its end began, and when the endpoints were as before; by `performance.now`. */
  readonly beganMs: number;
  readonly repairedFromMs: number;
  readonly endedMs: number;
  readonly events: readonly PoolEvent[];
  readonly pool: readonly PoolSample[];
  /** Requests sent to the worker, those of the lead-in too. */
  readonly sent: number;
  /** Attempts that the worker's pool began, and those that came in at the endpoints. */
  readonly attempts: { readonly begun: number; readonly received: number; readonly leftEarly: number };
}

const input = binaryBody(randomInput('input', [1, 10]));
const requestOf: Readonly<Record<Kind, RequestBody>> = {
  originOnly: input,
  fits: { ...input, headers: { ...input.headers, 'Edgewise-Tier': 'origin' } },
};

export async function runScenario(setup: Setup, scenario: Scenario): Promise<Outcome> {
  const { origins, bundle, state } = setup;
  const { kinds, hedging, duringMs } = scenario;
  const events: PoolEvent[] = [];
  const server = await startWorkerd({
    bundle,
    state,
    bindings: workerBindings(setup, hedging),
    onLog: (line) => {
      const event = poolEvent(line);
      if (event !== undefined) events.push(event);
    },
  });
  const { url } = server;
  const receivedBefore = await received(setup);
  const right = new Map<Kind, Buffer>();
  for (const kind of kinds) right.set(kind, await warmUp(url, kind));
  const requestsBefore = sumOf(await poolNow(url));

  const end = new AbortController();
  const watching = watchPool(url, end.signal);
  const startMs = performance.now();
  const loads = kinds.map((kind) =>
    openLoop(url, bytesOf(url, kind), {
      requestsPerSecond: requestsPerSecond / kinds.length,
      until: end.signal,
      patienceMs,
    }),
  );
  await sleep(leadInMs + beforeMs);
  const beganMs = performance.now();
  await scenario.begin(origins);
  await sleep(duringMs);
  const repairedFromMs = performance.now();
  await scenario.end(origins);
  const endedMs = performance.now();
  await sleep(afterMs);
  end.abort();
  const samples = await Promise.all(loads);
  const pool = await watching;
  const last = await poolNow(url);
  const now = await received(setup);
  await server.stop();

  const phaseOf = (dueMs: number): Phase => {
    if (dueMs < beganMs) return 'before';
    if (dueMs < repairedFromMs) return 'during';
    return dueMs < endedMs ? 'repair' : 'after';
  };
  return {
    scenario,
    observed: kinds.flatMap((kind, at) =>
      (samples[at] ?? [])
        .filter(({ dueMs }) => dueMs >= startMs + leadInMs)
        .map((sample) => ({ ...observed(sample, right.get(kind)), kind, phase: phaseOf(sample.dueMs) })),
    ),
    beganMs,
    repairedFromMs,
    endedMs,
    events,
    pool: [...pool, last],
    sent: samples.reduce((sum, { length }) => sum + length, 0),
    attempts: {
      begun: sumOf(last) - requestsBefore,
      received: now.received - receivedBefore.received - requestsBefore,
      leftEarly: now.leftEarly - receivedBefore.leftEarly,
    },
  };
}

/** @returns the right answer */
async function warmUp(url: URL, kind: Kind): Promise<Buffer> {
  const bytes = bytesOf(url, kind);
  const connection = await Connection.open(url);
  const { body } = await sendOk(connection, bytes);
  await latencies(connection, bytes, 50);
  connection.close();
  return body;
}

function bytesOf(url: URL, kind: Kind): Buffer {
  return requestBytes(url, `/v2/models/${models[kind]}/infer`, requestOf[kind]);
}

function observed(
  { dueMs, ms, answer, failure }: Sample,
  right: Buffer | undefined,
): Omit<Observed, 'kind' | 'phase'> {
  const retryAfter = answer && header(answer, 'retry-after');
  return {
    dueMs,
    ms,
    status: answer?.status ?? 0,
    reason: answer && header(answer, 'edgewise-reason'),
    retryAfterSeconds: retryAfter === undefined ? undefined : Number(retryAfter),
    failure: failure ?? (answer && failureOf(answer, right)),
  };
}

function failureOf({ status, body }: Pick<Answer, 'status' | 'body'>, right: Buffer | undefined) {
  if (status !== 200) return `status ${status}: ${body.toString()}`;
  return right !== undefined && isNear(body, right) ? undefined : 'not the right answer';
}

/** The same up to the last bits of its floats: WASM and native code add up in different orders. */
function isNear(one: Buffer, other: Buffer): boolean {
  if (one.byteLength !== other.byteLength) return false;
  const floats = (body: Buffer) =>
    new Float32Array(
      body.buffer.slice(body.byteOffset + body.byteLength - 40, body.byteOffset + body.byteLength),
    );
  const wanted = floats(other);
  return floats(one).every((value, at) => Math.abs(value - (wanted[at] ?? Number.NaN)) < 1e-4);
}

function header({ headers }: Pick<Answer, 'headers'>, name: string): string | undefined {
  return new RegExp(`\r\n${name}: *([^\r]*)\r`, 'i').exec(headers)?.[1];
}

function sumOf({ endpoints }: PoolSample): number {
  return endpoints.reduce((sum, { requests }) => sum + requests, 0);
}

async function received({ origins }: Setup): Promise<{ received: number; leftEarly: number }> {
  const all = await Promise.all(origins.map((origin) => origin.received()));
  return {
    received: all.reduce((sum, one) => sum + one.received, 0),
    leftEarly: all.reduce((sum, one) => sum + one.leftEarly, 0),
  };
}
