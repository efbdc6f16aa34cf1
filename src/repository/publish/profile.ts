/** What a model costs at the edge, measured under the edge's own engine and memory cap. */
import type { Clock } from '../../async/clock.ts';
import type { Engine, Feeds, Fetches, ModelSource, Session } from '../../engine/types.ts';
import { isEdgewiseError } from '../../errors.ts';
import { elementCount } from '../../tensor/shape.ts';
import { encodeModel } from '../onnx/proto.ts';
import { attributeTypes, tensorTypes } from '../onnx/proto-types.ts';
import type { EdgeProfile } from '../schema.ts';

export interface MeasureOptions {
  /** Largest batch to try; 1 where the first dimension is not a batch. */
  readonly maxBatchSize: number;
  readonly clock: Clock;
  feeds(batchSize: number): Feeds;
  /** What is answered, once each, for comparison with another engine. */
  readonly cases?: readonly Feeds[];
  onRun?(batchSize: number, microseconds: number): void;
}

export interface EdgeMeasurement {
  readonly profile: EdgeProfile;
  /** At batch 1. */
  readonly fetches: Fetches;
  /** To the cases, in their order. */
  readonly answers: readonly Fetches[];
}

/** Runs are timed in rounds of five until a round is hardly faster than the one before: V8 compiles hot code meanwhile. */
const runsPerRound = 5;
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
  const { clock } = options;
  const baseBytes = await emptyEngineBytes(engine);
  const begin = clock.now();
  const session = await engine.createSession(source);
  try {
    const createMs = clock.now() - begin;
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
      if (last !== undefined && (last.microseconds / last.batchSize) * batchSize > maxRunMs * 1000) {
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
      createMs: round(createMs),
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
  let best = await medianMs(session, feeds, { clock, end });
  let previous = batchSize === 1 ? Number.POSITIVE_INFINITY : best;
  while (best < previous * steadyRatio && clock.now() < end) {
    previous = best;
    best = Math.min(best, await medianMs(session, feeds, { clock, end }));
  }
  const microseconds = round(best * 1000);
  const inputElements = [...feeds.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  options.onRun?.(batchSize, microseconds);
  return { fetches, run: { batchSize, inputElements, microseconds } };
}

/** Of one round, cut short at `end`. */
async function medianMs(
  session: Session,
  feeds: Feeds,
  { clock, end }: { readonly clock: Clock; readonly end: number },
): Promise<number> {
  const times: number[] = [];
  do {
    const start = clock.now();
    await session.run(feeds);
    times.push(clock.now() - start);
  } while (times.length < runsPerRound && clock.now() < end);
  times.sort((a, b) => a - b);
  return times[Math.floor(times.length / 2)] ?? 0;
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
