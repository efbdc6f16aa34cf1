/** Types of `GET /v2/models/stats` (Triton, extension_statistics.md), and the figures of a model before its first request. */

/** How often a stage ran, and the nanoseconds that it took in total. */
export interface StatisticDuration {
  readonly count: number;
  readonly ns: number;
}

export type InferenceStage =
  | 'success'
  | 'fail'
  | 'queue'
  | 'compute_input'
  | 'compute_infer'
  | 'compute_output'
  | 'cache_hit'
  | 'cache_miss';

export interface BatchStatistics {
  readonly batch_size: number;
  readonly compute_input: StatisticDuration;
  readonly compute_infer: StatisticDuration;
  readonly compute_output: StatisticDuration;
}

export interface MemoryUsage {
  readonly type: 'CPU' | 'CPU_PINNED' | 'GPU';
  readonly id: number;
  readonly byte_size: number;
}

export interface ModelStatistics {
  readonly name: string;
  readonly version: string;
  /** Milliseconds since the epoch; 0 before the first request. */
  readonly last_inference: number;
  /** Rows: a request with a batch of 4 counts 4. */
  readonly inference_count: number;
  /** Runs of the model. */
  readonly execution_count: number;
  readonly inference_stats: Readonly<Record<InferenceStage, StatisticDuration>>;
  /** By index of a streamed response: always empty here, each request has one answer. */
  readonly response_stats: Readonly<Record<string, never>>;
  readonly batch_stats: readonly BatchStatistics[];
  readonly memory_usage: readonly MemoryUsage[];
}

export interface StatisticsBody {
  readonly model_stats: readonly ModelStatistics[];
}

export function statisticsBody(models: readonly ModelStatistics[]): StatisticsBody {
  return { model_stats: models };
}

const never: StatisticDuration = Object.freeze({ count: 0, ns: 0 });

/** Returns the figures of a model that has had no request yet. */
export function unusedModelStatistics(name: string, version: string): ModelStatistics {
  return {
    name,
    version,
    last_inference: 0,
    inference_count: 0,
    execution_count: 0,
    inference_stats: {
      success: never,
      fail: never,
      queue: never,
      compute_input: never,
      compute_infer: never,
      compute_output: never,
      cache_hit: never,
      cache_miss: never,
    },
    response_stats: {},
    batch_stats: [],
    memory_usage: [],
  };
}
