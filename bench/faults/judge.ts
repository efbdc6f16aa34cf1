/** What of an outcome is shown, and what of it must not be. */
import { type Quantiles, quantiles } from '../quantiles.ts';
import { figure } from '../report.ts';
import type { Observed, Outcome, Phase } from './run-scenario.ts';
import { type Spending, spending } from './watch.ts';

type ShownPhase = Exclude<Phase, 'repair'>;

export interface Verdict {
  readonly scenario: string;
  readonly requests: number;
  readonly failed: number;
  readonly phases: Readonly<Record<ShownPhase, Quantiles & { readonly p999: number }>>;
  /** Attempts at the first endpoint that failed or were overtaken, while the fault was its alone. */
  readonly attemptsLost: number | undefined;
  /** From the fault's begin to the first endpoint's being put out, from its end to its return; in milliseconds. */
  readonly ejectedAfterMs: number | undefined;
  readonly returnedAfterMs: number | undefined;
  /** Endpoints whose time out was not over at the end. */
  readonly stillOut: number;
  readonly sent: number;
  readonly attempts: Outcome['attempts'];
  readonly retries: Spending;
  readonly hedges: Spending;
  /**
   * Of requests whose model fits the edge, those answered there while all endpoints were dead, and those refused while it
   * loaded the model.
   */
  readonly edge: { readonly answers: number; readonly refused: number; readonly of: number };
  /** Of requests for a model of the origin, those refused while all endpoints were dead, in the right way. */
  readonly refused: { readonly rightly: number; readonly of: number };
  /** From the end of the fault to the last refusal, in milliseconds. */
  readonly lastRefusalMs: number;
  /** Goals that were missed. */
  readonly missed: readonly string[];
}

export function judge(outcome: Outcome): Verdict {
  const { scenario, observed, beganMs, endedMs, events, pool, sent, attempts } = outcome;
  const of = (phase: Phase) => observed.filter((one) => one.phase === phase);
  // While none is alive a model of the origin is refused, and so is what the edge cannot hold while it loads the model.
  const isPermitted = (one: Observed) =>
    one.failure === undefined ||
    (!scenario.isOneAlive &&
      isRightRefusal(one) &&
      // Also one that was under way when they died.
      one.dueMs + one.ms >= beganMs &&
      (one.kind === 'originOnly' || one.dueMs < beganMs + edgeColdMs));
  const failed = observed.filter((one) => !isPermitted(one));
  const during = of('during');
  const fits = during.filter(({ kind }) => kind === 'fits');
  const originOnly = during.filter(({ kind }) => kind === 'originOnly');
  const refusals = observed.filter(({ status, dueMs }) => status === 503 && dueMs >= endedMs);
  const found = {
    requests: observed.length,
    failed: failed.length,
    phases: {
      before: timesOf(of('before')),
      during: timesOf(during),
      after: timesOf(of('after')),
    },
    attemptsLost: scenario.isOfOne ? attemptsLost(outcome) : undefined,
    ejectedAfterMs: events.find(({ atMs, event }) => atMs >= beganMs && event !== 'endpoint_healthy'),
    returnedAfterMs: lastReturn(outcome),
    retries: spending(pool, 'retries'),
    hedges: spending(pool, 'hedges'),
    edge: {
      answers: fits.filter(({ failure, reason }) => failure === undefined && reason === 'origin-unavailable')
        .length,
      refused: fits.filter((one) => isRightRefusal(one) && isPermitted(one)).length,
      of: scenario.isOneAlive ? 0 : fits.length,
    },
    refused: {
      rightly: originOnly.filter((one) => one.status === 503 && isRightRefusal(one)).length,
      of: scenario.isOneAlive ? 0 : originOnly.length,
    },
    lastRefusalMs: refusals.reduce((last, { dueMs, ms }) => Math.max(last, dueMs + ms - endedMs), 0),
  };
  const verdict = {
    ...found,
    ejectedAfterMs: found.ejectedAfterMs && found.ejectedAfterMs.atMs - beganMs,
  };
  const stillOut = pool.at(-1)?.endpoints.filter(({ state }) => state !== 'healthy') ?? [];
  // After several probes that failed an endpoint may be out for longer than the load goes on.
  const overdue = stillOut.filter(({ outForMs }) => outForMs === 0);
  const extra = attempts.begun - sent;
  return {
    ...verdict,
    scenario: scenario.name,
    sent,
    attempts,
    stillOut: stillOut.length,
    missed: [
      ...goal(failed.length === 0, `${failed.length} requests failed, the first ${told(failed[0], outcome)}`),
      ...goal(overdue.length === 0, `${overdue.map(({ name }) => name).join(', ')} did not come back`),
      ...goal(verdict.retries.exceeded === undefined, 'more retries than the budget allows'),
      ...goal(verdict.hedges.exceeded === undefined, 'more hedges than the budget allows'),
      ...goal(extra <= 0.22 * sent + 3, `${extra} more attempts than requests`),
      ...goal(attempts.received <= attempts.begun, 'endpoints received more than the pool sent'),
      ...goal(scenario.hedging || verdict.hedges.most === 0, 'hedges though hedging is off'),
      // Those under way when the last endpoint dies, and the first to find out, may still be the origin's.
      ...goal(
        verdict.edge.answers + verdict.edge.refused >= 0.98 * verdict.edge.of,
        `${verdict.edge.of - verdict.edge.answers - verdict.edge.refused} of ${verdict.edge.of} were not answered at the edge`,
      ),
      ...goal(
        verdict.refused.rightly >= 0.98 * verdict.refused.of,
        `${verdict.refused.of - verdict.refused.rightly} of ${verdict.refused.of} were not refused`,
      ),
    ],
  };
}

/** An isolate that ran nothing yet starts its engine and loads the model, with 32 requests waiting at most. */
const edgeColdMs = 2000;

function goal(isReached: boolean, complaint: string): readonly string[] {
  return isReached ? [] : [complaint];
}

function told(one: Observed | undefined, { beganMs }: Outcome): string {
  return one === undefined
    ? ''
    : `(${one.kind}, ${figure((one.dueMs - beganMs) / 1000)} s after the fault, took ${figure(one.ms)} ms): ${one.failure}`;
}

/** 503, or 429 from the edge, and when to come back. */
function isRightRefusal({ status, retryAfterSeconds = 0 }: Observed): boolean {
  return (status === 503 || status === 429) && retryAfterSeconds >= 1;
}

/** Of what was answered with what it should be, and of refusals; what broke has no latency. */
function timesOf(observed: readonly Observed[]): Quantiles & { readonly p999: number } {
  const times = observed.filter(({ status }) => status !== 0).map(({ ms }) => ms);
  const sorted = times.toSorted((one, other) => one - other);
  const p999 = sorted[Math.max(0, Math.ceil(0.999 * sorted.length) - 1)] ?? Number.NaN;
  return { ...quantiles(times), p999 };
}

function attemptsLost({ pool, beganMs, endedMs }: Outcome): number {
  const lostUntil = (untilMs: number) => {
    const first = pool.findLast(({ atMs }) => atMs < untilMs)?.endpoints[0];
    return (first?.failures ?? 0) + (first?.modelFailures ?? 0) + (first?.overtaken ?? 0);
  };
  return lostUntil(endedMs) - lostUntil(beganMs);
}

/** Until every endpoint that was out after the fault's end was back; undefined where none was. */
function lastReturn({ events, endedMs }: Outcome): number | undefined {
  const returns = events.filter(({ atMs, event }) => atMs >= endedMs && event === 'endpoint_healthy');
  const last = returns.at(-1);
  return last && last.atMs - endedMs;
}
