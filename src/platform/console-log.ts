import type { LogEvent } from '../telemetry/logger.ts';

/** Lines of the log under the console's own levels, by which Workers Logs and `wrangler dev` choose what they show. */
export function toConsole(line: string, level: LogEvent['level']): void {
  if (level === 'error') console.error(line);
  else console.log(line);
}
