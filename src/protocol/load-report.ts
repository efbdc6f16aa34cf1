/**
 * What a server says of its load with each answer: the `endpoint-load-metrics` header of ORCA (cncf/xds,
 * xds/data/orca/v3/orca_load_report.proto). Its forms differ by sender: Triton writes `TEXT name=value, …` or `JSON {…}`,
 * Envoy reads `name:value` pairs and a header of its own for JSON. All of them are read here.
 */

export interface LoadFigures {
  /** 0 idle, 1 full; above 1 overloaded. */
  readonly utilisation: number;
  /** Requests that wait at the server. */
  readonly queued?: number;
  /** Requests that it works on. */
  readonly inFlight?: number;
}

export type LoadReportFormat = 'json' | 'text';

export const loadReportHeader = 'endpoint-load-metrics';
/** Asks for the report: Triton sends none without it. */
export const loadReportFormatHeader = 'endpoint-load-metrics-format';

/** Reports are a few hundred bytes; more is no report. */
const maxReportLength = 4096;

/** The report in an answer's headers. */
export function loadReportOf(headers: Pick<Headers, 'get'>): LoadFigures | undefined {
  return parseLoadReport(headers.get(loadReportHeader) ?? headers.get(`${loadReportHeader}-json`));
}

/** The figures of a header's value; undefined where it is absent, says nothing of utilisation, or is rubbish. Never throws. */
export function parseLoadReport(value: string | null): LoadFigures | undefined {
  if (value === null || value.length > maxReportLength) return undefined;
  const [, prefix = '', rest = ''] = /^\s*(?:(TEXT|JSON|BIN)\s)?\s*(.*)$/is.exec(value) ?? [];
  if (prefix.toUpperCase() === 'BIN') return undefined;
  const metrics = rest.startsWith('{') ? jsonMetrics(rest) : textMetrics(rest);
  const utilisation = utilisationOf(metrics);
  if (utilisation === undefined) return undefined;
  const queued = metrics.get('named_metrics.queued');
  const inFlight = metrics.get('named_metrics.in_flight');
  return {
    utilisation,
    ...(queued === undefined ? undefined : { queued }),
    ...(inFlight === undefined ? undefined : { inFlight }),
  };
}

/** The application's own figure first, as Envoy's client-side weighting does; 0 is what protobuf makes of an unset one. */
function utilisationOf(metrics: ReadonlyMap<string, number>): number | undefined {
  const application = metrics.get('application_utilization');
  const cpu = metrics.get('cpu_utilization');
  let named: number | undefined;
  for (const [name, value] of metrics) {
    if (namedUtilisation.test(name)) named = Math.max(named ?? 0, value);
  }
  return application || cpu || named || (application ?? cpu ?? named);
}

/** ORCA's map `utilization`, and what servers put among the named metrics: `kv_cache_utilization`, `kv_cache_usage_perc`. */
const namedUtilisation = /^(utilization\..+|named_metrics\..*(_utilization|_usage_perc))$/;

function jsonMetrics(text: string): ReadonlyMap<string, number> {
  const metrics = new Map<string, number>();
  let report: unknown;
  try {
    report = JSON.parse(text);
  } catch {
    return metrics;
  }
  if (typeof report !== 'object' || report === null) return metrics;
  for (const [name, value] of Object.entries(report)) {
    if (typeof value !== 'object' || value === null) add(metrics, name, value);
    else for (const [inner, figure] of Object.entries(value)) add(metrics, `${name}.${inner}`, figure);
  }
  return metrics;
}

function textMetrics(text: string): ReadonlyMap<string, number> {
  const metrics = new Map<string, number>();
  for (const pair of text.split(',')) {
    const [, name, value] = /^\s*([^=:\s]+)\s*[=:]\s*([-+.0-9eE]+)\s*$/.exec(pair) ?? [];
    if (name !== undefined && value !== undefined) add(metrics, name, Number(value));
  }
  return metrics;
}

function add(metrics: Map<string, number>, name: string, value: unknown): void {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) metrics.set(name, value);
}

/** The value of `endpoint-load-metrics` for these figures, which are finite and not negative. */
export function formatLoadReport(figures: LoadFigures, format: LoadReportFormat = 'json'): string {
  const { utilisation, queued, inFlight } = figures;
  const named = {
    ...(inFlight === undefined ? undefined : { in_flight: inFlight }),
    ...(queued === undefined ? undefined : { queued }),
  };
  if (format === 'json') {
    return `JSON ${JSON.stringify({ application_utilization: utilisation, named_metrics: named })}`;
  }
  const pairs = Object.entries(named).map(([name, value]) => `named_metrics.${name}=${value}`);
  return `TEXT ${[`application_utilization=${utilisation}`, ...pairs].join(', ')}`;
}

/** Which form the value of `endpoint-load-metrics-format` asks for; undefined where it asks for none that is known. */
export function wantedLoadReportFormat(value: string | null | undefined): LoadReportFormat | undefined {
  const wanted = value?.trim().toLowerCase();
  return wanted === 'json' || wanted === 'text' ? wanted : undefined;
}
