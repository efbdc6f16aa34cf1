/** Summarises the outcome of a scenario and checks it against the goals. */
import { type Quantiles, quantiles } from '../quantiles.ts';
import { formatFigure } from '../report.ts';
import type { Observed, Outcome, Phase } from './run-scenario.ts';
import { measureSpending, type Spending } from './watch.ts';

type ShownPhase = Exclude<Phase, 'repair'>;

export interface Verdict {
  readonly scenario: string;
  readonly requests: number;
  readonly failed: number;
  readonly phases: Readonly<Record<ShownPhase, Quantiles & { readonly p999: number }>>;
  /** Attempts at the first endpoint that failed or lost to a hedge; undefined unless only that endpoint was faulty. */
  readonly attemptsLost: number | undefined;
  /** From the start of the fault to the first ejection, and from its end to the last return, in milliseconds. */
  readonly ejectedAfterMs: number | undefined;
  readonly returnedAfterMs: number | undefined;
  /** Endpoints that were still ejected at the end. */
  readonly stillOut: number;
  readonly sent: number;
  readonly attempts: Outcome['attempts'];
  readonly retries: Spending;
  readonly hedges: Spending;
  /**
   * Requests whose model fits the edge while all endpoints were dead: answered at the edge, refused while it loaded the
   * model, and their total.
   */
  readonly edge: { readonly answers: number; readonly refused: number; readonly of: number };
  /** Requests for the origin's model while all endpoints were dead: correctly refused, and their total. */
  readonly refused: { readonly rightly: number; readonly of: number };
  /** From the end of the fault to the last refusal, in milliseconds. */
  readonly lastRefusalMs: number;
  /** One message for each missed goal. */
  readonly missed: readonly string[];
}

export function judge(outcome: Outcome): Verdict {
  const summary = summarise(outcome);
  return { ...summary, missed: findMissedGoals(summary, outcome) };
}

function summarise(outcome: Outcome): Omit<Verdict, 'missed'> {
  const { scenario, observed, beganMs, endedMs, events, pool, sent, attempts } = outcome;
  const of = (phase: Phase) => observed.filter((one) => one.phase === phase);
  const during = of('during');
  const fits = during.filter(({ kind }) => kind === 'fits');
  const originOnly = during.filter(({ kind }) => kind === 'originOnly');
  const refusals = observed.filter(({ status, dueMs }) => status === 503 && dueMs >= endedMs);
  const ejection = events.find(({ atMs, event }) => atMs >= beganMs && event !== 'endpoint_healthy');
  return {
    scenario: scenario.name,
    requests: observed.length,
    failed: observed.filter((one) => !isPermitted(one, outcome)).length,
    phases: {
      before: summariseTimes(of('before')),
      during: summariseTimes(during),
      after: summariseTimes(of('after')),
    },
    attemptsLost: scenario.isOfOne ? countLostAttempts(outcome) : undefined,
    ejectedAfterMs: ejection && ejection.atMs - beganMs,
    returnedAfterMs: findLastReturn(outcome),
    stillOut: listEjected(outcome).length,
    sent,
    attempts,
    retries: measureSpending(pool, 'retries'),
    hedges: measureSpending(pool, 'hedges'),
    edge: {
      answers: fits.filter(({ failure, reason }) => failure === undefined && reason === 'origin-unavailable')
        .length,
      refused: fits.filter((one) => isRightRefusal(one) && isPermitted(one, outcome)).length,
      of: scenario.isOneAlive ? 0 : fits.length,
    },
    refused: {
      rightly: originOnly.filter((one) => one.status === 503 && isRightRefusal(one)).length,
      of: scenario.isOneAlive ? 0 : originOnly.length,
    },
    lastRefusalMs: refusals.reduce((last, { dueMs, ms }) => Math.max(last, dueMs + ms - endedMs), 0),
  };
}

function findMissedGoals(
  { failed, attempts, sent, retries, hedges, edge, refused }: Omit<Verdict, 'missed'>,
  outcome: Outcome,
): readonly string[] {
  const firstFailed = outcome.observed.find((one) => !isPermitted(one, outcome));
  // After several failed probes an endpoint may be ejected for longer than the load lasts.
  const overdue = listEjected(outcome).filter(({ outForMs }) => outForMs === 0);
  const extra = attempts.begun - sent;
  const unanswered = edge.of - edge.answers - edge.refused;
  return [
    ...checkGoal(
      failed === 0,
      `${failed} requests failed, the first ${describeFailure(firstFailed, outcome)}`,
    ),
    ...checkGoal(overdue.length === 0, `${overdue.map(({ name }) => name).join(', ')} did not come back`),
    ...checkGoal(retries.exceeded === undefined, 'more retries than the budget allows'),
    ...checkGoal(hedges.exceeded === undefined, 'more hedges than the budget allows'),
    ...checkGoal(extra <= 0.22 * sent + 3, `${extra} more attempts than requests`),
    ...checkGoal(attempts.received <= attempts.begun, 'endpoints received more than the pool sent'),
    ...checkGoal(outcome.scenario.hedging || hedges.most === 0, 'hedges though hedging is off'),
    // Requests in flight when the last endpoint dies, and the first ones after that, may still go to the origin.
    ...checkGoal(unanswered <= 0.02 * edge.of, `${unanswered} of ${edge.of} were not answered at the edge`),
    ...checkGoal(
      refused.rightly >= 0.98 * refused.of,
      `${refused.of - refused.rightly} of ${refused.of} were not refused`,
    ),
  ];
}

/**
 * Reports whether the scenario permits this result. While no endpoint is alive, the origin's model is refused, and the edge
 * may refuse requests while it loads the other model.
 */
function isPermitted(one: Observed, { scenario, beganMs }: Outcome): boolean {
  return (
    one.failure === undefined ||
    (!scenario.isOneAlive &&
      isRightRefusal(one) &&
      // Requests in flight when the endpoints died count, too.
      one.dueMs + one.ms >= beganMs &&
      (one.kind === 'originOnly' || one.dueMs < beganMs + edgeColdMs))
  );
}

function listEjected({ pool }: Outcome) {
  return pool.at(-1)?.endpoints.filter(({ state }) => state !== 'healthy') ?? [];
}

/** Time in which a new isolate may refuse requests, because it starts its engine and loads the model with at most 32 waiting. */
const edgeColdMs = 2000;

function checkGoal(isReached: boolean, complaint: string): readonly string[] {
  return isReached ? [] : [complaint];
}

function describeFailure(one: Observed | undefined, { beganMs }: Outcome): string {
  return one === undefined
    ? ''
    : `(${one.kind}, ${formatFigure((one.dueMs - beganMs) / 1000)} s after the fault, took ${formatFigure(one.ms)} ms): ${one.failure}`;
}

/** Reports whether the answer is 503, or 429 from the edge, with a Retry-After. */
function isRightRefusal({ status, retryAfterSeconds = 0 }: Observed): boolean {
  return (status === 503 || status === 429) && retryAfterSeconds >= 1;
}

/** Computes quantiles over right answers and refusals; broken connections have no latency. */
function summariseTimes(observed: readonly Observed[]): Quantiles & { readonly p999: number } {
  const times = observed.filter(({ status }) => status !== 0).map(({ ms }) => ms);
  const sorted = times.toSorted((one, other) => one - other);
  const p999 = sorted[Math.max(0, Math.ceil(0.999 * sorted.length) - 1)] ?? Number.NaN;
  return { ...quantiles(times), p999 };
}

function countLostAttempts({ pool, beganMs, endedMs }: Outcome): number {
  const lostUntil = (untilMs: number) => {
    const first = pool.findLast(({ atMs }) => atMs < untilMs)?.endpoints[0];
    return (first?.failures ?? 0) + (first?.modelFailures ?? 0) + (first?.overtaken ?? 0);
  };
  return lostUntil(endedMs) - lostUntil(beganMs);
}

/** Returns the milliseconds from the fault's end to the last return of an endpoint; undefined if none returned. */
function findLastReturn({ events, endedMs }: Outcome): number | undefined {
  const returns = events.filter(({ atMs, event }) => atMs >= endedMs && event === 'endpoint_healthy');
  const last = returns.at(-1);
  return last && last.atMs - endedMs;
}
