/**
 * Counts requests and times of each model version since this isolate started, for the statistics extension of the Open
 * Inference Protocol. Recording allocates nothing for a model and batch size that are already known.
 *
 * On Cloudflare the clock stands still during computation, so `compute_*` are lower bounds there.
 */
import type {
  BatchStatistics,
  InferenceStage,
  ModelStatistics,
  StatisticDuration,
} from '../protocol/oip/statistics.ts';

export interface StatisticsOptions {
  /** Beyond this number of model versions, the least recently used one is forgotten. Default 256. */
  readonly maxModels?: number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** Times of a successful request. */
export interface SuccessTimes {
  /** Rows of the request; 1 for a model without a batch dimension. */
  readonly batchSize: number;
  readonly queueMs: number;
  readonly inputMs: number;
  readonly inferMs: number;
  readonly outputMs: number;
}

/** Callers choose batch sizes. Beyond this number per model, new sizes count only in the model's sums. */
const maxBatchSizes = 64;

interface Duration {
  count: number;
  ns: number;
}

interface Compute {
  readonly input: Duration;
  readonly infer: Duration;
  readonly output: Duration;
}

interface Figures extends Compute {
  readonly name: string;
  readonly version: string;
  lastInferenceMs: number;
  rows: number;
  readonly success: Duration;
  readonly fail: Duration;
  readonly queue: Duration;
  readonly batches: Map<number, Compute>;
}

export class Statistics {
  readonly #maxModels: number;
  readonly #now: () => number;
  /** By name, then by version. */
  readonly #figures = new Map<string, Map<string, Figures>>();
  #size = 0;

  constructor(options: StatisticsOptions = {}) {
    this.#maxModels = options.maxModels ?? 256;
    this.#now = options.now ?? Date.now;
  }

  recordSuccess(name: string, version: string, times: SuccessTimes): void {
    const figures = this.#figuresOf(name, version);
    figures.lastInferenceMs = this.#now();
    figures.rows += times.batchSize;
    add(figures.success, times.queueMs + times.inputMs + times.inferMs + times.outputMs);
    add(figures.queue, times.queueMs);
    addCompute(figures, times);
    const batch = figures.batches.get(times.batchSize);
    if (batch !== undefined) addCompute(batch, times);
    else if (figures.batches.size < maxBatchSizes) {
      figures.batches.set(times.batchSize, addCompute(newCompute(), times));
    }
  }

  recordFailure(name: string, version: string, ms: number): void {
    const figures = this.#figuresOf(name, version);
    figures.lastInferenceMs = this.#now();
    add(figures.fail, ms);
  }

  /** Returns undefined for a model version without requests. */
  ofVersion(name: string, version: string): ModelStatistics | undefined {
    const figures = this.#figures.get(name)?.get(version);
    return figures === undefined ? undefined : formatFigures(figures);
  }

  all(): readonly ModelStatistics[] {
    return [...this.#each()].map(formatFigures);
  }

  #figuresOf(name: string, version: string): Figures {
    const known = this.#figures.get(name)?.get(version);
    if (known !== undefined) return known;
    if (this.#size >= this.#maxModels) this.#forgetOldest();
    const figures: Figures = {
      name,
      version,
      lastInferenceMs: 0,
      rows: 0,
      success: newDuration(),
      fail: newDuration(),
      queue: newDuration(),
      ...newCompute(),
      batches: new Map(),
    };
    const versions = this.#figures.get(name) ?? new Map<string, Figures>();
    this.#figures.set(name, versions.set(version, figures));
    this.#size += 1;
    return figures;
  }

  #forgetOldest(): void {
    const [first, ...others] = this.#each();
    if (first === undefined) return;
    const oldest = others.reduce(
      (one, other) => (other.lastInferenceMs < one.lastInferenceMs ? other : one),
      first,
    );
    const versions = this.#figures.get(oldest.name);
    versions?.delete(oldest.version);
    if (versions?.size === 0) this.#figures.delete(oldest.name);
    this.#size -= 1;
  }

  *#each(): Iterable<Figures> {
    for (const versions of this.#figures.values()) yield* versions.values();
  }
}

function newDuration(): Duration {
  return { count: 0, ns: 0 };
}

function newCompute(): Compute {
  return { input: newDuration(), infer: newDuration(), output: newDuration() };
}

function add(duration: Duration, ms: number): void {
  duration.count += 1;
  duration.ns += Math.round(ms * 1e6);
}

function addCompute(compute: Compute, times: SuccessTimes): Compute {
  add(compute.input, times.inputMs);
  add(compute.infer, times.inferMs);
  add(compute.output, times.outputMs);
  return compute;
}

function formatFigures(figures: Figures): ModelStatistics {
  const none = newDuration();
  const stages: Record<InferenceStage, StatisticDuration> = {
    success: { ...figures.success },
    fail: { ...figures.fail },
    queue: { ...figures.queue },
    ...formatCompute(figures),
    cache_hit: none,
    cache_miss: none,
  };
  return {
    name: figures.name,
    version: figures.version,
    last_inference: figures.lastInferenceMs,
    inference_count: figures.rows,
    execution_count: figures.infer.count,
    inference_stats: stages,
    response_stats: {},
    batch_stats: [...figures.batches].map(([size, compute]) => ({
      batch_size: size,
      ...formatCompute(compute),
    })),
    memory_usage: [],
  };
}

function formatCompute({ input, infer, output }: Compute): Omit<BatchStatistics, 'batch_size'> {
  return { compute_input: { ...input }, compute_infer: { ...infer }, compute_output: { ...output } };
}
