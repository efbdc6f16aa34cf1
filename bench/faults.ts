/**
 * What callers see when origins fail: five Edgewise origins in processes of their own behind the worker, steady load that
 * does not wait for answers, one thing that goes wrong. `npm run bench -- faults`; with names of scenarios (or parts of
 * them) behind the file, those alone, and nothing is published.
 */
import { judge, type Verdict } from './faults/judge.ts';
import { type Outcome, requestsPerSecond, runScenario } from './faults/run-scenario.ts';
import { scenarios } from './faults/scenarios.ts';
import { prepare, serviceMs, timeoutMs } from './faults/setup.ts';
import { figure, publish, type Table } from './report.ts';

const parts = process.argv.slice(2);
const chosen = scenarios.filter(
  ({ name }) => parts.length === 0 || parts.some((part) => name.includes(part)),
);

const setup = await prepare();
const results: { outcome: Outcome; verdict: Verdict }[] = [];
try {
  for (const scenario of chosen) {
    const outcome = await runScenario(setup, scenario);
    const verdict = judge(outcome);
    results.push({ outcome, verdict });
    const { during } = verdict.phases;
    console.log(
      `${scenario.name}: ${verdict.failed} of ${verdict.requests} failed, p50 ${figure(during.p50)} ms, p99 ${figure(during.p99)} ms; ${verdict.missed.join('; ') || 'as it should be'}`,
    );
  }
} finally {
  await Promise.all(setup.origins.map((origin) => origin.stop()));
}

const verdicts = results.map(({ verdict }) => verdict);
const [latency, traffic] = [latencyTable(verdicts), trafficTable(verdicts)];
if (parts.length === 0) {
  publish({ name: 'faults', tables: [latency, traffic], notes: [allKilledNote(verdicts)], raw: raw() });
} else {
  console.log(JSON.stringify(raw()));
}
const missed = verdicts.flatMap((verdict) => verdict.missed.map((what) => `${verdict.scenario}: ${what}`));
for (const line of missed) console.error(`missed: ${line}`);
process.exitCode = missed.length === 0 ? 0 : 1;

function latencyTable(all: readonly Verdict[]): Table {
  const seconds = (ms: number | undefined) => (ms === undefined ? '–' : figure(ms / 1000));
  return {
    columns: [
      ...['fault', 'requests', 'failed', 'p50 / p99 before, ms', 'during', 'after'],
      ...['attempts lost there', 'put out after, s', 'back after, s'],
    ],
    rows: all.map(({ phases, ...one }) => [
      ...[one.scenario, one.requests, one.failed],
      ...Object.values(phases).map(({ p50, p99 }) => `${figure(p50)} / ${figure(p99)}`),
      ...[one.attemptsLost ?? '–', seconds(one.ejectedAfterMs)],
      `${seconds(one.returnedAfterMs)}${one.stillOut === 0 ? '' : ` (${one.stillOut} still out)`}`,
    ]),
  };
}

function trafficTable(all: readonly Verdict[]): Table {
  return {
    columns: [
      ...['fault', 'requests, all', 'attempts begun', 'received by the endpoints', 'more than requests, %'],
      ...['most retries in 10 s (allowed)', 'most hedges in 10 s (allowed)', 'losers gone before their run'],
    ],
    rows: all.map(({ scenario, sent, attempts, retries, hedges, refused }) => [
      ...[scenario, sent, attempts.begun, attempts.received],
      refused.of > 0 ? '–' : (100 * (attempts.begun / sent - 1)).toFixed(2),
      `${retries.most} (${retries.limit})`,
      `${hedges.most} (${hedges.limit})`,
      attempts.leftEarly,
    ]),
  };
}

function allKilledNote(all: readonly Verdict[]): string {
  const load = `${requestsPerSecond} requests per second; a run takes ${serviceMs} ms in the median, an endpoint may take ${timeoutMs} ms.`;
  const dead = all.find(({ refused }) => refused.of > 0);
  if (dead === undefined) return load;
  const { edge, refused, lastRefusalMs } = dead;
  const last =
    lastRefusalMs === 0
      ? 'none once the endpoints are back'
      : `the last ${figure(lastRefusalMs)} ms after the endpoints are back`;
  return `${load} While all are dead: ${edge.answers} of ${edge.of} requests whose model fits are answered at the edge, marked \`origin-unavailable\`, ${edge.refused} refused while it starts its engine and loads the model; ${refused.rightly} of ${refused.of} for the model of the origin are refused with 503 and \`Retry-After\`, ${last}.`;
}

function eventsOf({ events, beganMs }: Outcome) {
  return events.map((event) => ({ ...event, atMs: Math.round(event.atMs - beganMs) }));
}

function raw() {
  return results.map(({ outcome, verdict }) => ({
    ...verdict,
    events: eventsOf(outcome),
    seconds: secondsOf(outcome),
  }));
}

/** For each second from the fault's begin: answers, failures, slowest. */
function secondsOf({ observed, beganMs }: Outcome) {
  const bySecond = Map.groupBy(observed, ({ dueMs }) => Math.floor((dueMs - beganMs) / 1000));
  return [...bySecond]
    .toSorted(([one], [other]) => one - other)
    .map(([second, all]) => ({
      second,
      requests: all.length,
      failed: all.filter(({ failure }) => failure !== undefined).length,
      slowestMs: Math.round(Math.max(...all.map(({ ms }) => ms))),
    }));
}
