/**
 * Measures what callers see when origins fail: five Edgewise origins behind the worker, steady load that does not wait for
 * answers, one fault. `npm run bench -- faults` runs all scenarios and publishes the results; `node bench/faults.ts` with
 * parts of scenario names runs those and publishes nothing.
 */
import { judge, type Verdict } from './faults/judge.ts';
import { type Outcome, requestsPerSecond, runScenario } from './faults/run-scenario.ts';
import { scenarios } from './faults/scenarios.ts';
import { prepare, serviceMs, timeoutMs } from './faults/setup.ts';
import { formatFigure, publish, type Table } from './report.ts';

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
      `${scenario.name}: ${verdict.failed} of ${verdict.requests} failed, p50 ${formatFigure(during.p50)} ms, p99 ${formatFigure(during.p99)} ms; ${verdict.missed.join('; ') || 'all goals reached'}`,
    );
  }
} finally {
  await Promise.all(setup.origins.map((origin) => origin.stop()));
}

const verdicts = results.map(({ verdict }) => verdict);
const [latency, traffic] = [makeLatencyTable(verdicts), makeTrafficTable(verdicts)];
if (parts.length === 0) {
  publish({
    name: 'faults',
    tables: [latency, traffic],
    notes: [describeAllKilled(verdicts)],
    raw: collectRaw(),
  });
} else {
  console.log(JSON.stringify(collectRaw()));
}
const missed = verdicts.flatMap((verdict) => verdict.missed.map((what) => `${verdict.scenario}: ${what}`));
for (const line of missed) console.error(`missed: ${line}`);
process.exitCode = missed.length === 0 ? 0 : 1;

function makeLatencyTable(all: readonly Verdict[]): Table {
  const seconds = (ms: number | undefined) => (ms === undefined ? '–' : formatFigure(ms / 1000));
  return {
    columns: [
      ...['fault', 'requests', 'failed', 'p50 / p99 before, ms', 'during', 'after'],
      ...['attempts lost there', 'put out after, s', 'back after, s'],
    ],
    rows: all.map(({ phases, ...one }) => [
      ...[one.scenario, one.requests, one.failed],
      ...Object.values(phases).map(({ p50, p99 }) => `${formatFigure(p50)} / ${formatFigure(p99)}`),
      ...[one.attemptsLost ?? '–', seconds(one.ejectedAfterMs)],
      `${seconds(one.returnedAfterMs)}${one.stillOut === 0 ? '' : ` (${one.stillOut} still out)`}`,
    ]),
  };
}

function makeTrafficTable(all: readonly Verdict[]): Table {
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

function describeAllKilled(all: readonly Verdict[]): string {
  const load = `${requestsPerSecond} requests per second; a run takes ${serviceMs} ms in the median, an endpoint may take ${timeoutMs} ms.`;
  const dead = all.find(({ refused }) => refused.of > 0);
  if (dead === undefined) return load;
  const { edge, refused, lastRefusalMs } = dead;
  const last =
    lastRefusalMs === 0
      ? 'none once the endpoints are back'
      : `the last ${formatFigure(lastRefusalMs)} ms after the endpoints are back`;
  return `${load} While all are dead: ${edge.answers} of ${edge.of} requests whose model fits are answered at the edge, marked \`origin-unavailable\`, ${edge.refused} refused while it starts its engine and loads the model; ${refused.rightly} of ${refused.of} for the model of the origin are refused with 503 and \`Retry-After\`, ${last}.`;
}

function listEvents({ events, beganMs }: Outcome) {
  return events.map((event) => ({ ...event, atMs: Math.round(event.atMs - beganMs) }));
}

function collectRaw() {
  return results.map(({ outcome, verdict }) => ({
    ...verdict,
    events: listEvents(outcome),
    seconds: summariseSeconds(outcome),
  }));
}

/** Counts requests, failures and the slowest answer of each second since the fault began. */
function summariseSeconds({ observed, beganMs }: Outcome) {
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
