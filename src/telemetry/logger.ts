/**
 * Writes one line of JSON for each event. The fields are a closed list: names, codes, digests, times, and causes of
 * failures. A cause is the clipped text of an error. Errors that quote a request are refusals, which are logged by code
 * and without a cause.
 */
import { isEdgewiseError } from '../errors.ts';

export interface LogEvent {
  readonly level: 'error' | 'info';
  readonly event: string;
  readonly requestId?: string | undefined;
  readonly method?: string | undefined;
  /** Pattern of the route, not the requested path. */
  readonly route?: string | undefined;
  readonly status?: number | undefined;
  readonly code?: string | undefined;
  readonly model?: string | undefined;
  readonly version?: string | undefined;
  /** Tier of the request, or of storage. */
  readonly tier?: string | undefined;
  readonly operation?: string | undefined;
  /** Configured name of an endpoint of the origin pool. */
  readonly endpoint?: string | undefined;
  readonly digest?: string | undefined;
  readonly ms?: number | undefined;
  /** An error; the line lists its chain of causes. */
  readonly cause?: unknown;
}

export interface Logger {
  write(event: LogEvent): void;
}

export interface LogOptions {
  /** `errors`: only events of level `error`. */
  readonly level: 'off' | 'errors' | 'all';
  readonly write: (line: string, level: LogEvent['level']) => void;
}

const maxTextLength = 300;
const maxCauses = 4;

export function createLogger({ level, write }: LogOptions): Logger {
  return {
    write(event) {
      if (level === 'off' || (level === 'errors' && event.level !== 'error')) return;
      write(JSON.stringify(lineOf(event)), event.level);
    },
  };
}

/** Copies field by field, so that additional properties of an event stay out of the log. */
function lineOf(event: LogEvent): Record<string, string | number | string[] | undefined> {
  return {
    level: event.level,
    event: event.event,
    requestId: clip(event.requestId),
    method: clip(event.method),
    route: clip(event.route),
    status: event.status,
    code: event.code,
    model: clip(event.model),
    version: clip(event.version),
    tier: event.tier,
    operation: event.operation,
    endpoint: event.endpoint,
    digest: event.digest,
    ms: event.ms,
    causes: event.cause === undefined ? undefined : causesOf(event.cause),
  };
}

function causesOf(error: unknown): string[] {
  const causes: string[] = [];
  for (let link = error; link !== undefined && causes.length < maxCauses; ) {
    causes.push(nameOf(link));
    link = link instanceof Error ? link.cause : undefined;
  }
  return causes;
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const name = isEdgewiseError(error) ? error.code : error.name;
  return clip(`${name}: ${error.message}`) ?? name;
}

function clip(text: string | undefined): string | undefined {
  return text !== undefined && text.length > maxTextLength ? `${text.slice(0, maxTextLength)}…` : text;
}
