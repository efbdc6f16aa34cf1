/**
 * Health of one endpoint, or of one model at one endpoint: ejected when it fails, readmitted by one successful request.
 */
import { budgetWindowMs, SlidingCount } from './budget.ts';
import type { AttemptOutcome } from './types.ts';

/**
 * - `healthy`: in use.
 * - `ejected`: out of use; a last resort when no other endpoint is left.
 * - `suspect`: used only when no healthy endpoint is left. It should be ejected, but half of the pool is ejected already, or
 *   it is only down according to stored probe results.
 */
export type EndpointState = 'healthy' | 'suspect' | 'ejected';

export interface HealthChange {
  readonly state: EndpointState;
  readonly reason: string;
}

/** Identifies one attempt, from `begin` to `end`. */
export interface HealthTicket {
  /** Number of state changes before the attempt began. */
  readonly era: number;
  /** True if the attempt is the probe of an endpoint that is out. A failed probe lengthens the time out. */
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
/** Time in the healthy state after which earlier ejections no longer lengthen the next one. */
const forgivenAfterMs = 300_000;
/** How long a failure makes an endpoint a worse choice: until its retry no longer counts in the retry budget. */
const recentMs = budgetWindowMs + 2000;
/** Delay before an inconclusive probe is repeated. */
const repeatProbeMs = 1000;

/**
 * The health of one subject: an endpoint, or a model at an endpoint. In the comments below, "it" is the subject, and "out"
 * means ejected or suspect.
 */
export class EndpointHealth {
  #state: EndpointState = 'healthy';
  /** Incremented by each change of state: an attempt that began before a change says nothing about the time after it. */
  #era = 0;
  /** Failed and overtaken attempts since the last success. */
  #consecutive = 0;
  #failedAtMs = 0;
  readonly #successes = new SlidingCount();
  readonly #failures = new SlidingCount();
  /** Ejections in succession, without `forgivenAfterMs` of health between them. */
  #ejectionsInRow = 0;
  #ejections = 0;
  #healthySinceMs = 0;
  #probeAtMs = 0;
  #probe: HealthTicket | undefined;
  /** True once an attempt has shown whether it works. */
  #hasEvidence = false;

  get state(): EndpointState {
    return this.#state;
  }

  /**
   * Number of ejections, including failed probes and ejections that made it `suspect`. Stored probe results do not
   * count.
   */
  get ejections(): number {
    return this.#ejections;
  }

  /** Returns the failed and overtaken attempts in a row while it is healthy; 0 if the last one is not recent. */
  recentFailures(nowMs: number): number {
    return this.#consecutive > 0 && nowMs - this.#failedAtMs < recentMs ? this.#consecutive : 0;
  }

  /** Returns the milliseconds until it may be probed; 0 if it is healthy or a probe is due. */
  outForMs(nowMs: number): number {
    return this.#state === 'healthy' ? 0 : Math.max(0, this.#probeAtMs - nowMs);
  }

  /** Reports whether it is out, its time out ended at least `overdueMs` ago, and no attempt is probing it. */
  isProbeDue(nowMs: number, overdueMs = 0): boolean {
    return this.#state !== 'healthy' && this.#probe === undefined && nowMs >= this.#probeAtMs + overdueMs;
  }

  /** Starts an attempt, which is the probe if one is due. */
  begin(nowMs: number): HealthTicket {
    const ticket = { era: this.#era, probe: this.isProbeDue(nowMs) };
    if (ticket.probe) this.#probe = ticket;
    return ticket;
  }

  /**
   * Records the outcome of an attempt. Ignored if the state has changed since the attempt began. Any success while it is out
   * readmits it, not only that of the probe.
   *
   * @returns the change of state that the attempt caused; also for a failed probe, which extends the time out.
   */
  end(ticket: HealthTicket, end: AttemptEnd): HealthChange | undefined {
    if (this.#probe === ticket) this.#probe = undefined;
    if (ticket.era !== this.#era) return undefined;
    const { outcome } = end;
    if (outcome === 'success' || outcome === 'failure' || outcome === 'overtaken') this.#hasEvidence = true;
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

  /**
   * Marks it as suspect, because stored probe results say that it is down.
   *
   * @returns undefined, without effect, if it is out already or an attempt has shown whether it works.
   */
  markSuspect(nowMs: number): HealthChange | undefined {
    if (this.#hasEvidence || this.#state !== 'healthy') return undefined;
    // The era is not incremented, so the outcome of an attempt in flight still counts.
    this.#state = 'suspect';
    this.#ejectionsInRow = 1;
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

  /** A failure or an inconclusive attempt has an effect only if it is the probe. */
  #endWhileOut(ticket: HealthTicket, end: AttemptEnd): HealthChange | undefined {
    switch (end.outcome) {
      case 'success':
        return this.#readmit(end.nowMs);
      case 'failure':
        // Other attempts do not double the time out: many may fail at once if it is the last resort.
        return ticket.probe ? this.#eject(end, 'its probe failed') : undefined;
      case 'overtaken':
        // It may hang or be starting. Probe it again later, but do not double the time out.
        if (ticket.probe) this.#probeAtMs = end.nowMs + baseOutMs;
        return undefined;
      default:
        if (ticket.probe) this.#probeAtMs = end.nowMs + repeatProbeMs;
        return undefined;
    }
  }

  /**
   * Ejects it after `maxConsecutive` failures in a row, or if fewer than `minSuccessShare` of the last requests
   * succeeded.
   */
  #ejectIfFailing(end: AttemptEnd): HealthChange | undefined {
    if (this.#consecutive >= maxConsecutive) return this.#eject(end, `${maxConsecutive} failures in a row`);
    const failed = this.#failures.atMost(end.nowMs);
    const total = failed + this.#successes.atMost(end.nowMs);
    if (total < minOutcomes || total - failed >= total * minSuccessShare) return undefined;
    return this.#eject(end, `${failed} of ${total} requests failed`);
  }

  /** Ejects it, or extends its time out. It becomes suspect if `mayEject` returns false. */
  #eject({ nowMs, reason, mayEject }: Omit<AttemptEnd, 'outcome'>, why: string): HealthChange {
    if (this.#state === 'healthy' && nowMs - this.#healthySinceMs >= forgivenAfterMs)
      this.#ejectionsInRow = 0;
    this.#ejectionsInRow += 1;
    this.#ejections += 1;
    const outMs = Math.min(maxOutMs, baseOutMs * 2 ** (this.#ejectionsInRow - 1));
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

  /** Changes the state and forgets all counts and the current probe. */
  #change(state: EndpointState): void {
    this.#state = state;
    this.#era += 1;
    this.#consecutive = 0;
    this.#successes.clear();
    this.#failures.clear();
    this.#probe = undefined;
  }
}
