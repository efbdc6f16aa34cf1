/**
 * Whether one endpoint is used, or one model at one endpoint: put out when it fails, let back in by one request that goes
 * well.
 */
import { budgetWindowMs, SlidingCount } from './budget.ts';
import type { AttemptOutcome } from './types.ts';

/**
 * - `healthy`: used.
 * - `ejected`: out; used when nothing else is left.
 * - `suspect`: to be out, but half of the pool is out already, or only hearsay has it that it is down; used when nothing
 *   healthy is left.
 */
export type EndpointState = 'healthy' | 'suspect' | 'ejected';

export interface HealthChange {
  readonly state: EndpointState;
  readonly reason: string;
}

/** Of an attempt, from its begin to its end. */
export interface HealthTicket {
  /** Which change of state it began after. */
  readonly era: number;
  /** Whether the endpoint's return hangs on it. */
  readonly probe: boolean;
}

export interface AttemptEnd {
  readonly outcome: AttemptOutcome;
  readonly nowMs: number;
  /** Why it failed, for the log. */
  readonly reason?: string | undefined;
  /** Whether one more of the pool may be ejected; asked only where it matters. */
  readonly mayEject: () => boolean;
}

const maxConsecutive = 5;
const minOutcomes = 20;
const minSuccessShare = 0.8;
const baseOutMs = 5000;
const maxOutMs = 300_000;
/** So long must it have been healthy for earlier ejections to be forgotten. */
const forgivenAfterMs = 300_000;
/** So long a failure tells against an endpoint when one is chosen: until the retry that it cost is out of the budget's window. */
const recentMs = budgetWindowMs + 2000;
/** When a probe that showed nothing is repeated. */
const probeAgainMs = 1000;

export class EndpointHealth {
  #state: EndpointState = 'healthy';
  /** Raised by each change: what began before a change says nothing about the time after it. */
  #era = 0;
  #consecutive = 0;
  #failedAtMs = 0;
  readonly #successes = new SlidingCount();
  readonly #failures = new SlidingCount();
  /** How often it was out without a long time of health between. */
  #timesOut = 0;
  #ejections = 0;
  #healthySinceMs = 0;
  #probeAtMs = 0;
  #probe: HealthTicket | undefined;
  /** Whether any attempt has told anything yet. */
  #known = false;

  get state(): EndpointState {
    return this.#state;
  }

  /** How often it was put out, as `ejected` or `suspect`. */
  get ejections(): number {
    return this.#ejections;
  }

  /** Failures in a row, where the last of them is recent. */
  recentFailures(nowMs: number): number {
    return this.#consecutive > 0 && nowMs - this.#failedAtMs < recentMs ? this.#consecutive : 0;
  }

  /** Milliseconds until it may be probed; 0 when healthy or due. */
  outForMs(nowMs: number): number {
    return this.#state === 'healthy' ? 0 : Math.max(0, this.#probeAtMs - nowMs);
  }

  /** Whether its time is over, by `overdueMs` at least, and no request is its probe yet. */
  isProbeDue(nowMs: number, overdueMs = 0): boolean {
    return this.#state !== 'healthy' && this.#probe === undefined && nowMs >= this.#probeAtMs + overdueMs;
  }

  begin(nowMs: number): HealthTicket {
    const ticket = { era: this.#era, probe: this.isProbeDue(nowMs) };
    if (ticket.probe) this.#probe = ticket;
    return ticket;
  }

  /** @returns the change of state that it led to. */
  end(ticket: HealthTicket, end: AttemptEnd): HealthChange | undefined {
    if (this.#probe === ticket) this.#probe = undefined;
    if (ticket.era !== this.#era) return undefined;
    const { outcome } = end;
    if (outcome === 'success' || outcome === 'failure' || outcome === 'overtaken') this.#known = true;
    if (this.#state !== 'healthy') return this.#endWhileOut(ticket, end);
    switch (outcome) {
      case 'success':
        this.#consecutive = 0;
        this.#successes.add(end.nowMs);
        return undefined;
      case 'failure':
        this.#consecutive += 1;
        this.#failedAtMs = end.nowMs;
        this.#failures.add(end.nowMs);
        return this.#judge(end);
      case 'overtaken':
        this.#consecutive += 1;
        this.#failedAtMs = end.nowMs;
        return this.#judge(end);
      default:
        return undefined;
    }
  }

  /** Takes another's word that it is down, where nothing is known of it yet. */
  suspect(nowMs: number): HealthChange | undefined {
    if (this.#known || this.#state !== 'healthy') return undefined;
    // The era stays: an attempt that is on its way knows better than hearsay.
    this.#state = 'suspect';
    this.#timesOut = 1;
    this.#probeAtMs = nowMs + baseOutMs;
    return { state: 'suspect', reason: 'it was down when it was probed last' };
  }

  /** Puts it out for what an attempt does not show. @returns undefined while it is out already. */
  putOut(end: Omit<AttemptEnd, 'outcome'>, why: string): HealthChange | undefined {
    return this.#state === 'healthy' ? this.#putOut(end, why) : undefined;
  }

  /** Lets it back in, because it was found to be well. @returns undefined where it is in. */
  letIn(nowMs: number): HealthChange | undefined {
    return this.#state === 'healthy' ? undefined : this.#returned(nowMs);
  }

  #endWhileOut(ticket: HealthTicket, end: AttemptEnd): HealthChange | undefined {
    switch (end.outcome) {
      case 'success':
        return this.#returned(end.nowMs);
      case 'failure':
        // Only its probe doubles the time: as a last resort it may fail many at once.
        return ticket.probe ? this.#putOut(end, 'its probe failed') : undefined;
      case 'overtaken':
        // As one that hangs is, or one that was started a moment ago: to be asked again, not to be out for longer.
        if (ticket.probe) this.#probeAtMs = end.nowMs + baseOutMs;
        return undefined;
      default:
        if (ticket.probe) this.#probeAtMs = end.nowMs + probeAgainMs;
        return undefined;
    }
  }

  #judge(end: AttemptEnd): HealthChange | undefined {
    if (this.#consecutive >= maxConsecutive) return this.#putOut(end, `${maxConsecutive} failures in a row`);
    const failed = this.#failures.atMost(end.nowMs);
    const total = failed + this.#successes.atMost(end.nowMs);
    if (total < minOutcomes || total - failed >= total * minSuccessShare) return undefined;
    return this.#putOut(end, `${failed} of ${total} requests failed`);
  }

  #putOut({ nowMs, reason, mayEject }: Omit<AttemptEnd, 'outcome'>, why: string): HealthChange {
    if (this.#state === 'healthy' && nowMs - this.#healthySinceMs >= forgivenAfterMs) this.#timesOut = 0;
    this.#timesOut += 1;
    this.#ejections += 1;
    const outMs = Math.min(maxOutMs, baseOutMs * 2 ** (this.#timesOut - 1));
    this.#change(mayEject() ? 'ejected' : 'suspect');
    this.#probeAtMs = nowMs + outMs;
    const last = reason === undefined ? '' : `, the last: ${reason}`;
    return { state: this.#state, reason: `${why}${last}; out for ${outMs / 1000} s` };
  }

  #returned(nowMs: number): HealthChange {
    this.#change('healthy');
    this.#healthySinceMs = nowMs;
    return { state: 'healthy', reason: 'it answered again' };
  }

  #change(state: EndpointState): void {
    this.#state = state;
    this.#era += 1;
    this.#consecutive = 0;
    this.#successes.clear();
    this.#failures.clear();
    this.#probe = undefined;
  }
}
