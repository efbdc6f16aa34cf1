/** `npm start` as a new user runs it: the samples are published once, the printed command works, and an origin runs beside the worker. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { findFreePort, root } from '../../scripts/dev-server.ts';

const state = mkdtempSync(join(tmpdir(), 'edgewise-start-'));
afterAll(() => rmSync(state, { recursive: true, force: true }));

const samples = ['digits', 'digits-int8', 'mlp', 'ocr-angle', 'ocr-detect', 'ocr-recognise', 'speech-detect'];

interface Started {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly curl: string;
  /** Address of the worker. */
  readonly port: number;
  /** Address of the origin. */
  readonly origin: string;
}

/** Runs `npm start` until it reports that it is ready. */
async function start(): Promise<Started> {
  const port = await findFreePort();
  const child = spawn(process.execPath, [join(root, 'scripts/start.ts')], {
    cwd: root,
    env: { ...process.env, PORT: String(port), EDGEWISE_STATE: state },
  });
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const take = (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('Ctrl-C stops both')) resolve();
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.once('exit', (code) => reject(new Error(`npm start ended with ${code}\n${output}`)));
  });
  child.removeAllListeners('exit');
  const curl = /^ {2}(curl .*)$/m.exec(output)?.[1] ?? '';
  const origin = /the origin beside it, (http:\S+),/.exec(output)?.[1] ?? '';
  return { child, output: () => output, curl, port, origin };
}

function run(curl: string): Promise<{ readonly stdout: string }> {
  return promisify(execFile)('sh', ['-c', `${curl} --silent`]);
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

describe('npm start', () => {
  it('publishes the samples, prints a command that works, and does not publish again', async () => {
    const first = await start();
    for (const sample of samples) expect(first.output()).toContain(`${sample}@1 created`);
    const { stdout } = await run(first.curl);
    expect(first.origin).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const atOrigin = await run(`${first.curl} -H 'Edgewise-Tier: origin' --dump-header -`);
    expect(atOrigin.stdout).toMatch(/^edgewise-tier: origin\s*$/im);
    expect(atOrigin.stdout).toContain('"outputs":[{"name":"output"');
    // With the worker's key only.
    const direct = await fetch(`${first.origin}/v2/models/mlp`);
    expect([direct.status, direct.headers.get('Edgewise-Error')]).toEqual([401, 'unauthenticated']);
    await stop(first.child);
    await expect(fetch(first.origin)).rejects.toThrow();
    const outputs = /"outputs":.*/;
    const documented = readFileSync(join(root, 'README.md'), 'utf8');
    expect(outputs.exec(documented)?.[0]).toBe(outputs.exec(stdout)?.[0]);
    expect(documented).toContain(first.curl.replace(/localhost:\d+/, 'localhost:8787'));

    const second = await start();
    expect(second.output()).not.toContain('created');
    for (const sample of samples) expect(second.output()).toContain(`${sample}@1 unchanged`);
    await stop(second.child);
  }, 300_000);
});
