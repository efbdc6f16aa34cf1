/**
 * Health of one endpoint, or of one model at one endpoint: ejected when it fails, readmitted by one successful request.
 */
import { budgetWindowMs, SlidingCount } from './budget.ts';
import type { AttemptOutcome } from './types.ts';

/**
 * - `healthy`: in use.
 * - `ejected`: out of use; a last resort when no other endpoint is left.
 * - `suspect`: would be ejected, but half of the pool is ejected already, or only the stored probe results say that it is
 *   down; used when nothing healthy is left.
 */
export type EndpointState = 'healthy' | 'suspect' | 'ejected';

export interface HealthChange {
  readonly state: EndpointState;
  readonly reason: string;
}

/** Tracks one attempt from start to finish. */
export interface HealthTicket {
  /** Number of state changes before the attempt began. */
  readonly era: number;
  /** True if the outcome decides whether the endpoint is readmitted. */
  readonly probe: boolean;
}

export interface AttemptEnd {
  readonly outcome: AttemptOutcome;
  readonly nowMs: number;
  /** Why the attempt failed, for the log. */
  readonly reason?: string | undefined;
  /** Whether one more endpoint of the pool may be ejected. Called only when an ejection depends on it. */
  readonly mayEject: () => boolean;
}

const maxConsecutive = 5;
const minOutcomes = 20;
const minSuccessShare = 0.8;
const baseOutMs = 5000;
const maxOutMs = 300_000;
/** Time in good health after which earlier ejections no longer lengthen the next one. */
const forgivenAfterMs = 300_000;
/** How long a failure counts against an endpoint in the choice: until the retry that it cost has left the budget's window. */
const recentMs = budgetWindowMs + 2000;
/** Delay before an inconclusive probe is repeated. */
const probeAgainMs = 1000;

export class EndpointHealth {
  #state: EndpointState = 'healthy';
  /** Incremented by each change of state: an attempt that began before a change says nothing about the time after it. */
  #era = 0;
  #consecutive = 0;
  #failedAtMs = 0;
  readonly #successes = new SlidingCount();
  readonly #failures = new SlidingCount();
  /** Ejections in succession, without `forgivenAfterMs` of health between them. */
  #timesOut = 0;
  #ejections = 0;
  #healthySinceMs = 0;
  #probeAtMs = 0;
  #probe: HealthTicket | undefined;
  /** True once an attempt has shown whether it works. */
  #known = false;

  get state(): EndpointState {
    return this.#state;
  }

  /** How often it became `ejected` or `suspect` because of failures. */
  get ejections(): number {
    return this.#ejections;
  }

  /** Returns the number of failures in a row; 0 if the last one is not recent. */
  recentFailures(nowMs: number): number {
    return this.#consecutive > 0 && nowMs - this.#failedAtMs < recentMs ? this.#consecutive : 0;
  }

  /** Returns the milliseconds until it may be probed; 0 if it is healthy or a probe is due. */
  outForMs(nowMs: number): number {
    return this.#state === 'healthy' ? 0 : Math.max(0, this.#probeAtMs - nowMs);
  }

  /** Whether its time out ended at least `overdueMs` ago and no request is probing it yet. */
  isProbeDue(nowMs: number, overdueMs = 0): boolean {
    return this.#state !== 'healthy' && this.#probe === undefined && nowMs >= this.#probeAtMs + overdueMs;
  }

  begin(nowMs: number): HealthTicket {
    const ticket = { era: this.#era, probe: this.isProbeDue(nowMs) };
    if (ticket.probe) this.#probe = ticket;
    return ticket;
  }

  /** Records the outcome of an attempt. @returns the change of state that it caused. */
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
        return this.#ejectIfFailing(end);
      case 'overtaken':
        this.#consecutive += 1;
        this.#failedAtMs = end.nowMs;
        return this.#ejectIfFailing(end);
      default:
        return undefined;
    }
  }

  /** Marks it as suspect because stored probe results say that it is down. Ignored once an attempt has shown whether it works. */
  suspect(nowMs: number): HealthChange | undefined {
    if (this.#known || this.#state !== 'healthy') return undefined;
    // The era stays: an attempt in flight knows better than stored probe results.
    this.#state = 'suspect';
    this.#timesOut = 1;
    this.#probeAtMs = nowMs + baseOutMs;
    return { state: 'suspect', reason: 'it was down when it was probed last' };
  }

  /** Ejects it for a reason other than the outcome of one attempt. @returns undefined if it is out already. */
  eject(end: Omit<AttemptEnd, 'outcome'>, why: string): HealthChange | undefined {
    return this.#state === 'healthy' ? this.#eject(end, why) : undefined;
  }

  /** Readmits it because a probe succeeded. @returns undefined if it is healthy already. */
  readmit(nowMs: number): HealthChange | undefined {
    return this.#state === 'healthy' ? undefined : this.#readmit(nowMs);
  }

  #endWhileOut(ticket: HealthTicket, end: AttemptEnd): HealthChange | undefined {
    switch (end.outcome) {
      case 'success':
        return this.#readmit(end.nowMs);
      case 'failure':
        // Only its probe doubles the time out: as a last resort it may fail many requests at once.
        return ticket.probe ? this.#eject(end, 'its probe failed') : undefined;
      case 'overtaken':
        // It may hang, or may have started a moment ago: probe it again, without a longer time out.
        if (ticket.probe) this.#probeAtMs = end.nowMs + baseOutMs;
        return undefined;
      default:
        if (ticket.probe) this.#probeAtMs = end.nowMs + probeAgainMs;
        return undefined;
    }
  }

  #ejectIfFailing(end: AttemptEnd): HealthChange | undefined {
    if (this.#consecutive >= maxConsecutive) return this.#eject(end, `${maxConsecutive} failures in a row`);
    const failed = this.#failures.atMost(end.nowMs);
    const total = failed + this.#successes.atMost(end.nowMs);
    if (total < minOutcomes || total - failed >= total * minSuccessShare) return undefined;
    return this.#eject(end, `${failed} of ${total} requests failed`);
  }

  #eject({ nowMs, reason, mayEject }: Omit<AttemptEnd, 'outcome'>, why: string): HealthChange {
    if (this.#state === 'healthy' && nowMs - this.#healthySinceMs >= forgivenAfterMs) this.#timesOut = 0;
    this.#timesOut += 1;
    this.#ejections += 1;
    const outMs = Math.min(maxOutMs, baseOutMs * 2 ** (this.#timesOut - 1));
    this.#change(mayEject() ? 'ejected' : 'suspect');
    this.#probeAtMs = nowMs + outMs;
    const last = reason === undefined ? '' : `, the last: ${reason}`;
    return { state: this.#state, reason: `${why}${last}; out for ${outMs / 1000} s` };
  }

  #readmit(nowMs: number): HealthChange {
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
