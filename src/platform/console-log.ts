import type { LogEvent } from '../telemetry/logger.ts';

/** Writes a log line at the console's level, which Workers Logs and `wrangler dev` filter by. */
export function toConsole(line: string, level: LogEvent['level']): void {
  if (level === 'error') console.error(line);
  else console.log(line);
}
