import type { Engine, Feeds, ModelSource, Session } from '../../src/engine/types.ts';
import { isEdgewiseError } from '../../src/errors.ts';
import { createFakeEngine, fakeGraph } from './fake-engine.ts';

export interface TracedEngineOptions {
  readonly capBytes?: number;
  /** Awaited in the middle of each create and run of the model; throws to make them fail. */
  readonly duringCreate?: (name: string) => Promise<void>;
  readonly duringRun?: (name: string) => Promise<void>;
}

export interface TracedEngine extends Engine {
  /** The calls in order: `create a`, `run a`, `release a`. */
  readonly trace: readonly string[];
  /** Calls that the fake engine rejected because they break the contract. */
  readonly breaches: readonly string[];
  sessionsLive(): number;
}

/** Returns a source of a model without inputs and outputs; a traced engine reads its name from the weights' path. */
export function sourceOf(name: string, bytes: number): ModelSource {
  const graph = fakeGraph({ op: 'identity', inputs: [], outputs: [], sessionBytes: bytes });
  return { graph, weights: { path: name, byteLength: 0, async *read() {} } };
}

/** Wraps the fake engine and records its calls by the model's name. */
export function createTracedEngine(options: TracedEngineOptions = {}): TracedEngine {
  const trace: string[] = [];
  const breaches: string[] = [];
  const nameOf = (source: ModelSource) => source.weights?.path ?? '';
  /** A run is identified by its feeds: each gets its own copy. */
  const runs = new WeakMap<Feeds, string>();
  const fake = createFakeEngine({
    memoryCapBytes: options.capBytes ?? Number.POSITIVE_INFINITY,
    overlappingCreates: 'refuse',
    onCreate: async (source) => options.duringCreate?.(nameOf(source)),
    onRun: async (feeds) => options.duringRun?.(runs.get(feeds) ?? ''),
  });
  const watched = async <T>(what: string, call: Promise<T>): Promise<T> => {
    try {
      return await call;
    } catch (error) {
      const byContract = /while another|during a run|is released/;
      if (isEdgewiseError(error) && byContract.test(error.message))
        breaches.push(`${what}: ${error.message}`);
      throw error;
    }
  };
  return {
    name: 'fake',
    version: fake.version,
    trace,
    breaches,
    memory: () => fake.memory(),
    sessionsLive: () => fake.sessionsLive,
    async createSession(source): Promise<Session> {
      const name = nameOf(source);
      const session = await watched(`create ${name}`, fake.createSession(source));
      trace.push(`create ${name}`);
      return {
        inputs: session.inputs,
        outputs: session.outputs,
        runtime: session.runtime,
        run(feeds, fetches) {
          trace.push(`run ${name}`);
          const own: Feeds = new Map(feeds);
          runs.set(own, name);
          return watched(`run ${name}`, session.run(own, fetches));
        },
        release() {
          trace.push(`release ${name}`);
          return watched(`release ${name}`, session.release());
        },
      };
    },
  };
}
