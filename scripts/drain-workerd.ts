/**
 * Drains a worker under `wrangler dev`. workerd answers the requests in flight when it gets SIGTERM, but wrangler would
 * kill or restart it meanwhile, so wrangler is paused first.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type GroupMember, listGroupMembers } from './group-members.ts';

const everyMs = 25;

/**
 * Stops accepting connections on `port` and returns once its requests in flight are answered, or after `patienceMs`.
 * Leaves wrangler paused: stop the group next.
 */
export async function drainWorkerd(group: number, port: number, patienceMs: number): Promise<void> {
  const isEntry = ({ args }: GroupMember) => args.includes(`--socket-addr=entry=127.0.0.1:${port}`);
  const isWrangler = ({ args }: GroupMember) => args.includes('wrangler-dist/cli.js');
  const members = await listGroupMembers(group);
  for (const member of members.filter(isWrangler)) signal(member, 'SIGSTOP');
  for (const member of members.filter(isEntry)) signal(member, 'SIGTERM');
  const deadline = performance.now() + patienceMs;
  while (performance.now() < deadline && (await listGroupMembers(group)).some(isEntry)) await sleep(everyMs);
}

function signal({ pid }: GroupMember, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // The process has already ended.
  }
}
