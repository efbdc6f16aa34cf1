/** `npm start` as a newcomer meets it: the samples are published once, and the line that it prints works. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { freePort, root } from '../../scripts/dev-server.ts';

const state = mkdtempSync(join(tmpdir(), 'edgewise-start-'));
afterAll(() => rmSync(state, { recursive: true, force: true }));

const samples = ['digits', 'mlp', 'ocr-angle', 'ocr-detect', 'ocr-recognise', 'speech-detect'];

/** Runs until it says that it is ready; gives what it printed and the curl line. */
async function start(): Promise<{
  readonly child: ChildProcess;
  readonly output: string;
  readonly curl: string;
}> {
  const child = spawn(process.execPath, [join(root, 'scripts/start.ts')], {
    cwd: root,
    env: { ...process.env, PORT: String(await freePort()), EDGEWISE_STATE: state },
  });
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const take = (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('Ctrl-C stops it')) resolve();
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.once('exit', (code) => reject(new Error(`npm start ended with ${code}\n${output}`)));
  });
  child.removeAllListeners('exit');
  const curl = /^ {2}(curl .*)$/m.exec(output)?.[1] ?? '';
  return { child, output, curl };
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

describe('npm start', () => {
  it('publishes the samples, prints a line that works, and does not publish again', async () => {
    const first = await start();
    for (const sample of samples) expect(first.output).toContain(`${sample}@1 created`);
    const { stdout } = await promisify(execFile)('sh', ['-c', `${first.curl} --silent`]);
    await stop(first.child);
    const outputs = /"outputs":.*/;
    const documented = readFileSync(join(root, 'README.md'), 'utf8');
    expect(outputs.exec(documented)?.[0]).toBe(outputs.exec(stdout)?.[0]);
    expect(documented).toContain(first.curl.replace(/localhost:\d+/, 'localhost:8787'));

    const second = await start();
    await stop(second.child);
    expect(second.output).not.toContain('created');
    for (const sample of samples) expect(second.output).toContain(`${sample}@1 unchanged`);
  }, 300_000);

  it.runIf(process.platform === 'linux')(
    'leaves nothing behind when it is stopped while it starts',
    async () => {
      const port = await freePort();
      const child = spawn(process.execPath, [join(root, 'scripts/start.ts')], {
        cwd: root,
        env: { ...process.env, PORT: String(port), EDGEWISE_STATE: state },
      });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      await vi.waitFor(() => expect(serversOn(port)).not.toEqual([]), { timeout: 60_000, interval: 50 });
      child.kill('SIGINT');
      await ended;
      await vi.waitFor(() => expect(serversOn(port)).toEqual([]), { timeout: 10_000 });
    },
    90_000,
  );
});

/** Processes of `wrangler dev` on this port, by Linux's own list: the machine may have nothing but Node. */
function serversOn(port: number): readonly string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const line = readFileSync(join('/proc', pid, 'cmdline'), 'utf8').split('\0');
      return line.includes('dev') && line[line.indexOf('--port') + 1] === String(port);
    } catch {
      // No process, or gone by now.
      return false;
    }
  });
}
