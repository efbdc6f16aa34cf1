/** Measures what a model costs at the edge, under the edge's own engine and memory cap. */
import type { Clock } from '../../async/clock.ts';
import type { Engine, Feeds, Fetches, ModelSource, Session } from '../../engine/types.ts';
import { isEdgewiseError } from '../../errors.ts';
import { elementCount } from '../../tensor/shape.ts';
import { costMicroseconds, type MeasuredRun } from '../edge-profile.ts';
import { encodeModel } from '../onnx/proto.ts';
import { attributeTypes, tensorTypes } from '../onnx/proto-types.ts';
import type { EdgeProfile } from '../schema.ts';

export interface MeasureOptions {
  /** Largest batch to try; 1 if the first dimension is not a batch. */
  readonly maxBatchSize: number;
  readonly clock: Clock;
  /** CPU time of this thread in milliseconds. Absent if the machine does not report it. */
  cpuMs?(): number;
  feeds(batchSize: number): Feeds;
  /** Requests to answer once each, for comparison with another engine. */
  readonly cases?: readonly Feeds[];
  onRun?(run: MeasuredRun): void;
}

export interface EdgeMeasurement {
  readonly profile: EdgeProfile;
  /** The answer at batch 1. */
  readonly fetches: Fetches;
  /** The answers to the cases, in order. */
  readonly answers: readonly Fetches[];
}

/**
 * Runs are timed in rounds of five until a round is hardly faster than the one before, while V8 compiles hot code. The
 * fastest run counts, since other work of the machine only makes runs longer. CPU time is recorded too, because on a machine
 * that is never idle even the fastest run has waited.
 */
const runsPerRound = 5;
const minRunsPerRound = 2;
const steadyRatio = 0.9;
/** Measuring ends after this time. Larger batches run once the code is compiled, so one round is enough for them. */
const maxMeasureMs = 2000;
/** No larger batch is tried if its run is expected to take longer. */
const maxRunMs = 5000;

/**
 * Loads the model into a new engine and runs it at batch 1, 2, 4 … up to the largest that fits.
 *
 * @throws EdgewiseError `no_capacity` if the model does not fit at batch 1; what the engine throws otherwise.
 */
export async function measureEdge(
  engine: Engine,
  source: ModelSource,
  options: MeasureOptions,
): Promise<EdgeMeasurement> {
  const baseBytes = await measureEmptyEngine(engine);
  const begin = readTimes(options);
  const session = await engine.createSession(source);
  try {
    const create = timesSince(begin, options);
    // A small model fits into memory that the empty engine has reserved, so its own bytes are the minimum.
    const modelBytes = source.graph.byteLength + (source.weights?.byteLength ?? 0);
    const sessionBytes = Math.max(engine.memory().usedBytes - baseBytes, modelBytes);
    const answers: Fetches[] = [];
    for (const feeds of options.cases ?? []) answers.push(await session.run(feeds));
    const first = await measureRuns(session, options, 1);
    let peakBytes = engine.memory().usedBytes;
    const runs = [first.run];
    for (const batchSize of batchSizes(options.maxBatchSize)) {
      const last = runs.at(-1);
      if (last !== undefined && (costMicroseconds(last) / last.batchSize) * batchSize > maxRunMs * 1000) {
        break;
      }
      const measured = await measureRuns(session, options, batchSize).catch(stopAtCapacity);
      if (measured === undefined) break;
      peakBytes = engine.memory().usedBytes;
      runs.push(measured.run);
    }
    const profile: EdgeProfile = {
      engine: `${engine.name} ${engine.version}`,
      memoryCapBytes: engine.memory().capBytes,
      sessionBytes,
      peakBytes,
      createMs: roundToTenth(create.wallMs),
      ...(create.cpuMs !== undefined && { createCpuMs: roundToTenth(create.cpuMs) }),
      runs,
    };
    return { profile, fetches: first.fetches, answers };
  } finally {
    await session.release();
  }
}

/** Yields 2, 4, 8 … and the maximum itself. */
function* batchSizes(maxBatchSize: number): Generator<number> {
  for (let batchSize = 2; batchSize < maxBatchSize; batchSize *= 2) yield batchSize;
  if (maxBatchSize > 1) yield maxBatchSize;
}

function stopAtCapacity(error: unknown): undefined {
  if (isEdgewiseError(error) && error.code === 'no_capacity') return undefined;
  throw error;
}

async function measureRuns(session: Session, options: MeasureOptions, batchSize: number) {
  const { clock } = options;
  const feeds = options.feeds(batchSize);
  // The first run also grows and plans the memory, so it does not count.
  const fetches = await session.run(feeds);
  const end = clock.now() + maxMeasureMs;
  let best = await timeRound(session, feeds, options, end);
  let previousMs = batchSize === 1 ? Number.POSITIVE_INFINITY : shorterMs(best);
  while (shorterMs(best) < previousMs * steadyRatio && clock.now() < end) {
    previousMs = shorterMs(best);
    best = minTimes(best, await timeRound(session, feeds, options, end));
  }
  const inputElements = [...feeds.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const run: MeasuredRun = {
    batchSize,
    inputElements,
    microseconds: roundToTenth(best.wallMs * 1000),
    ...(best.cpuMs !== undefined && { cpuMicroseconds: roundToTenth(best.cpuMs * 1000) }),
  };
  options.onRun?.(run);
  return { fetches, run };
}

/** The duration of one run by the clock, and its CPU time if the machine reports it. */
interface Times {
  readonly wallMs: number;
  readonly cpuMs: number | undefined;
}

type TimeSources = Pick<MeasureOptions, 'clock' | 'cpuMs'>;

function readTimes({ clock, cpuMs }: TimeSources): Times {
  return { wallMs: clock.now(), cpuMs: cpuMs?.() };
}

function timesSince(begin: Times, sources: TimeSources): Times {
  const end = readTimes(sources);
  return {
    wallMs: end.wallMs - begin.wallMs,
    cpuMs: end.cpuMs === undefined || begin.cpuMs === undefined ? undefined : end.cpuMs - begin.cpuMs,
  };
}

function shorterMs({ wallMs, cpuMs = wallMs }: Times): number {
  return Math.min(wallMs, cpuMs);
}

/** Returns the shorter of each time: the fastest run by the clock need not be the one with the least CPU time. */
function minTimes(one: Times, other: Times): Times {
  return {
    wallMs: Math.min(one.wallMs, other.wallMs),
    cpuMs:
      one.cpuMs === undefined || other.cpuMs === undefined ? undefined : Math.min(one.cpuMs, other.cpuMs),
  };
}

/** Times the runs of one round, which ends early at `end` but not before its second run. Returns the fastest. */
async function timeRound(session: Session, feeds: Feeds, sources: TimeSources, end: number): Promise<Times> {
  let best: Times = { wallMs: Number.POSITIVE_INFINITY, cpuMs: Number.POSITIVE_INFINITY };
  for (let run = 0; run < runsPerRound && (run < minRunsPerRound || sources.clock.now() < end); run += 1) {
    const begin = readTimes(sources);
    await session.run(feeds);
    best = minTimes(best, timesSince(begin, sources));
  }
  return best;
}

function roundToTenth(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Returns the memory of the engine once it has started, which it does for the smallest possible model. */
async function measureEmptyEngine(engine: Engine): Promise<number> {
  const scalar = { tensorType: { elemType: tensorTypes.FLOAT, shape: {} } };
  const session = await engine.createSession({
    graph: encodeModel({
      irVersion: 8n,
      opsetImport: [{ version: 13n }],
      graph: {
        name: 'empty',
        node: [
          {
            opType: 'Constant',
            output: ['y'],
            attribute: [{ name: 'value_float', type: attributeTypes.FLOAT, f: 0 }],
          },
        ],
        output: [{ name: 'y', type: scalar }],
      },
    }),
  });
  await session.release();
  return engine.memory().usedBytes;
}
