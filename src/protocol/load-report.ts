/**
 * Load reports that servers send with each answer: the `endpoint-load-metrics` header of ORCA (cncf/xds,
 * xds/data/orca/v3/orca_load_report.proto). Its forms differ by sender: Triton writes `TEXT name=value, …` or `JSON {…}`,
 * Envoy reads `name:value` pairs and a separate header for JSON. This module reads all of them.
 */

export interface LoadReport {
  /** 0 idle, 1 full; above 1 overloaded. */
  readonly utilisation: number;
  /** Requests that wait at the server. */
  readonly queued?: number;
  /** Requests that the server is processing. */
  readonly inFlight?: number;
}

export type LoadReportFormat = 'json' | 'text';

export const loadReportHeader = 'endpoint-load-metrics';
/** Asks for the report: Triton sends none without it. */
export const loadReportFormatHeader = 'endpoint-load-metrics-format';

/** Reports are a few hundred bytes; a longer value is ignored. */
const maxReportLength = 4096;

/** Returns the load report in an answer's headers; undefined if there is none. */
export function loadReportOf(headers: Pick<Headers, 'get'>): LoadReport | undefined {
  return parseLoadReport(headers.get(loadReportHeader) ?? headers.get(`${loadReportHeader}-json`));
}

/** Parses a header's value; undefined if it is absent, has no utilisation, or is malformed. Never throws. */
export function parseLoadReport(value: string | null): LoadReport | undefined {
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

/** Prefers the application's own figure, as Envoy's client-side weighting does; 0 is protobuf's value for an unset figure. */
function utilisationOf(metrics: ReadonlyMap<string, number>): number | undefined {
  const application = metrics.get('application_utilization');
  const cpu = metrics.get('cpu_utilization');
  let named: number | undefined;
  for (const [name, value] of metrics) {
    if (namedUtilisation.test(name)) named = Math.max(named ?? 0, value);
  }
  return application || cpu || named || (application ?? cpu ?? named);
}

/** ORCA's map `utilization`, and utilisations among the named metrics: `kv_cache_utilization`, `kv_cache_usage_perc`. */
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

/** Returns the value of `endpoint-load-metrics` for these figures, which are finite and not negative. */
export function formatLoadReport(figures: LoadReport, format: LoadReportFormat = 'json'): string {
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

/** Returns the format that `endpoint-load-metrics-format` asks for; undefined for none or an unknown one. */
export function parseLoadReportFormat(value: string | null | undefined): LoadReportFormat | undefined {
  const format = value?.trim().toLowerCase();
  return format === 'json' || format === 'text' ? format : undefined;
}
