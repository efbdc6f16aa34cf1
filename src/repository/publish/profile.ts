/** What a model costs at the edge, measured under the edge's own engine and memory cap. */
import type { Clock } from '../../async/clock.ts';
import type { Engine, Feeds, Fetches, ModelSource, Session } from '../../engine/types.ts';
import { isEdgewiseError } from '../../errors.ts';
import { elementCount } from '../../tensor/shape.ts';
import { costMicroseconds, type MeasuredRun } from '../edge-profile.ts';
import { encodeModel } from '../onnx/proto.ts';
import { attributeTypes, tensorTypes } from '../onnx/proto-types.ts';
import type { EdgeProfile } from '../schema.ts';

export interface MeasureOptions {
  /** Largest batch to try; 1 where the first dimension is not a batch. */
  readonly maxBatchSize: number;
  readonly clock: Clock;
  /** Milliseconds that the processor has spent on this thread. Absent: the machine does not say. */
  cpuMs?(): number;
  feeds(batchSize: number): Feeds;
  /** What is answered, once each, for comparison with another engine. */
  readonly cases?: readonly Feeds[];
  onRun?(run: MeasuredRun): void;
}

export interface EdgeMeasurement {
  readonly profile: EdgeProfile;
  /** At batch 1. */
  readonly fetches: Fetches;
  /** To the cases, in their order. */
  readonly answers: readonly Fetches[];
}

/**
 * Runs are timed in rounds of five until a round is hardly faster than the one before: V8 compiles hot code meanwhile. The
 * fastest run counts, since whatever else a machine does makes runs longer, and the processor's own time stands beside it: on
 * a machine that is never quiet even the fastest run has waited.
 */
const runsPerRound = 5;
const minRunsPerRound = 2;
const steadyRatio = 0.9;
/** A model this slow is not measured longer; larger batches come when the code is compiled, so one round does. */
const maxMeasureMs = 2000;
/** No larger batch is tried once a run takes this long. */
const maxRunMs = 5000;

/**
 * Loads the model into a new engine and runs it at batch 1, 2, 4 … up to the largest that fits.
 *
 * @throws EdgewiseError `no_capacity` when it does not fit at batch 1; what the engine throws otherwise.
 */
export async function measureEdge(
  engine: Engine,
  source: ModelSource,
  options: MeasureOptions,
): Promise<EdgeMeasurement> {
  const baseBytes = await emptyEngineBytes(engine);
  const begin = readTimes(options);
  const session = await engine.createSession(source);
  try {
    const create = timesSince(begin, options);
    // A small model fits into what the empty engine has reserved; its own bytes stand there all the same.
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
      if (measured === undefined) {
        break;
      }
      peakBytes = engine.memory().usedBytes;
      runs.push(measured.run);
    }
    const profile: EdgeProfile = {
      engine: `${engine.name} ${engine.version}`,
      memoryCapBytes: engine.memory().capBytes,
      sessionBytes,
      peakBytes,
      createMs: round(create.wallMs),
      ...(create.cpuMs !== undefined && { createCpuMs: round(create.cpuMs) }),
      runs,
    };
    return { profile, fetches: first.fetches, answers };
  } finally {
    await session.release();
  }
}

/** 2, 4, 8 … and the largest itself. */
function* batchSizes(maxBatchSize: number): Generator<number> {
  for (let batchSize = 2; batchSize < maxBatchSize; batchSize *= 2) {
    yield batchSize;
  }
  if (maxBatchSize > 1) {
    yield maxBatchSize;
  }
}

function stopAtCapacity(error: unknown): undefined {
  if (isEdgewiseError(error) && error.code === 'no_capacity') {
    return undefined;
  }
  throw error;
}

async function measureRuns(session: Session, options: MeasureOptions, batchSize: number) {
  const { clock } = options;
  const feeds = options.feeds(batchSize);
  // The first run also grows the memory and plans it, so it is not counted.
  const fetches = await session.run(feeds);
  const end = clock.now() + maxMeasureMs;
  let best = await fastestOfRound(session, feeds, options, end);
  let previousMs = batchSize === 1 ? Number.POSITIVE_INFINITY : leastMs(best);
  while (leastMs(best) < previousMs * steadyRatio && clock.now() < end) {
    previousMs = leastMs(best);
    best = faster(best, await fastestOfRound(session, feeds, options, end));
  }
  const inputElements = [...feeds.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const run: MeasuredRun = {
    batchSize,
    inputElements,
    microseconds: round(best.wallMs * 1000),
    ...(best.cpuMs !== undefined && { cpuMicroseconds: round(best.cpuMs * 1000) }),
  };
  options.onRun?.(run);
  return { fetches, run };
}

/** What one run took: by the clock, and of the processor's own time where the machine says. */
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

function leastMs({ wallMs, cpuMs = wallMs }: Times): number {
  return Math.min(wallMs, cpuMs);
}

/** The least of each: the fastest run by the clock need not be the one that the processor spent least on. */
function faster(one: Times, other: Times): Times {
  return {
    wallMs: Math.min(one.wallMs, other.wallMs),
    cpuMs:
      one.cpuMs === undefined || other.cpuMs === undefined ? undefined : Math.min(one.cpuMs, other.cpuMs),
  };
}

/** The fastest run of one round, which is cut short at `end`, though not before its second run. */
async function fastestOfRound(
  session: Session,
  feeds: Feeds,
  sources: TimeSources,
  end: number,
): Promise<Times> {
  let best: Times = { wallMs: Number.POSITIVE_INFINITY, cpuMs: Number.POSITIVE_INFINITY };
  for (let run = 0; run < runsPerRound && (run < minRunsPerRound || sources.clock.now() < end); run += 1) {
    const begin = readTimes(sources);
    await session.run(feeds);
    best = faster(best, timesSince(begin, sources));
  }
  return best;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** The memory of the engine once it has started: the smallest model there is makes it start. */
async function emptyEngineBytes(engine: Engine): Promise<number> {
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
