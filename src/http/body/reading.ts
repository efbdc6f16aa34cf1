/** How a server reads bodies. */
import type { Clock } from '../../async/clock.ts';
import type { ByteBudget } from '../../scheduler/byte-budget.ts';
import type { Pace } from './pace.ts';

/** How bodies are read: the same for every route. */
export interface BodyReading {
  readonly budget: ByteBudget;
  readonly pace: Pace;
  /** The longest time that a request needs its body once it is read. */
  readonly leaseMs: number;
  /** Whether a request ends without a word when its caller leaves, as on Cloudflare. */
  readonly endsWithCaller: boolean;
  readonly clock: Clock;
}
