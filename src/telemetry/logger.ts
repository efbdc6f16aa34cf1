/**
 * One line of JSON for each event. What a line may say is a closed list: names, codes, digests, times, and the causes of
 * failures. A cause is the text of an error, clip; errors that quote a request are refusals, which are logged by their
 * code and given no cause.
 */
import { isEdgewiseError } from '../errors.ts';

export interface LogEvent {
  readonly level: 'error' | 'info';
  readonly event: string;
  readonly requestId?: string | undefined;
  readonly method?: string | undefined;
  /** The route's pattern, not the path that was asked for. */
  readonly route?: string | undefined;
  readonly status?: number | undefined;
  readonly code?: string | undefined;
  readonly model?: string | undefined;
  readonly version?: string | undefined;
  /** Of a request, or of storage. */
  readonly tier?: string | undefined;
  readonly operation?: string | undefined;
  /** Of the origin pool, by its configured name. */
  readonly endpoint?: string | undefined;
  readonly digest?: string | undefined;
  readonly ms?: number | undefined;
  /** An error, of which each link of the chain is named. */
  readonly cause?: unknown;
}

export interface Logger {
  write(event: LogEvent): void;
}

export interface LogOptions {
  /** `errors`: events of level `error` alone. */
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

/** Field by field: what a caller of `write` has beyond the list stays out, whatever its type says. */
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
