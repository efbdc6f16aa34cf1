/**
 * An orderly end of a worker under `wrangler dev`. workerd answers what is under way when it is asked to end; wrangler
 * kills it before it could, or starts it again. So wrangler is held meanwhile.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type GroupMember, listGroupMembers } from './group-members.ts';

const everyMs = 25;

/**
 * Takes no new connection at `port` and returns once all that is under way there is answered, or after `patienceMs`.
 * Wrangler is left held: the group's end is next.
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
    // It is gone already.
  }
}
