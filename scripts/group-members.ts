/** Lists the processes of a process group. */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface GroupMember {
  readonly pid: number;
  /** Command line, joined by spaces; empty for a zombie process. */
  readonly args: string;
}

/** Reads /proc on Linux, because containers may lack `ps`. */
export async function listGroupMembers(group: number): Promise<readonly GroupMember[]> {
  const processes = process.platform === 'linux' ? await listProc() : await listByPs();
  return processes.filter((each) => each.group === group);
}

interface ListedProcess extends GroupMember {
  readonly group: number;
}

async function listProc(): Promise<readonly ListedProcess[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const listed = await Promise.all(
    pids.map(async (pid): Promise<readonly ListedProcess[]> => {
      try {
        const [stat, args] = await Promise.all(
          ['stat', 'cmdline'].map((file) => readFile(join('/proc', pid, file), 'utf8')),
        );
        // pid (name) state parent group …, where the name may hold spaces and brackets.
        const group = Number(stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
        return [{ pid: Number(pid), group, args: args?.replaceAll('\0', ' ') ?? '' }];
      } catch {
        // The process has ended meanwhile.
        return [];
      }
    }),
  );
  return listed.flat();
}

async function listByPs(): Promise<readonly ListedProcess[]> {
  const { stdout } = await promisify(execFile)('ps', ['-axo', 'pid=,pgid=,args=']);
  return [...stdout.matchAll(/^ *(\d+) +(\d+) +(.*)$/gm)].map(([, pid, group, args = '']) => ({
    ...{ pid: Number(pid), group: Number(group) },
    args,
  }));
}
