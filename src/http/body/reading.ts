import type { Clock } from '../../async/clock.ts';
import type { ByteBudget } from '../../scheduler/byte-budget.ts';
import type { Pace } from './pace.ts';

/** How a server reads bodies: the same for every route. */
export interface BodyReading {
  readonly budget: ByteBudget;
  readonly pace: Pace;
  /** The longest time that a request needs its body once it is read. */
  readonly leaseMs: number;
  /** True if a request just ends when its caller leaves, as on Cloudflare: no code of it runs any more. */
  readonly endsWithCaller: boolean;
  readonly clock: Clock;
}
