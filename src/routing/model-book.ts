/** What the pool knows about one model across all endpoints. */
import type { Clock } from '../async/clock.ts';
import { Budget, SlidingCount } from './budget.ts';
import { LatencyWindow } from './latency-window.ts';

const minLatencies = 20;
const minP95Ms = 1;

export class ModelBook {
  readonly requests = new SlidingCount();
  /** Budget for second attempts after one that failed because of the model or the request. */
  readonly retries: Budget;
  readonly latencies = new LatencyWindow();

  constructor(clock: Clock) {
    this.retries = new Budget({ clock, requests: this.requests, percent: 20, floor: 3 });
  }

  /** The 95th percentile of the latencies; undefined until 20 answers are known. */
  get p95Ms(): number | undefined {
    if (this.latencies.size < minLatencies) return undefined;
    return Math.max(minP95Ms, this.latencies.quantile(0.95) ?? 0);
  }
}
