import { vi } from 'vitest';
import type { OriginServer } from '../../scripts/origin-server.ts';

/** Sends a signal repeatedly until the origin ends: a signal soon after the first one counts as the same. Returns how the origin ended. */
export async function signalUntilEnded(
  { pid, ended }: OriginServer,
  name: NodeJS.Signals,
): Promise<string | undefined> {
  let how: string | undefined;
  void ended.then((words) => {
    how = words;
  });
  await vi.waitFor(
    () => {
      if (how === undefined) process.kill(pid, name);
      else return;
      throw new Error('the origin has not ended');
    },
    { timeout: 10_000, interval: 100 },
  );
  return how;
}
