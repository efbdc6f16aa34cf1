/** Shutdown of `npm start` and `npm run origin` by any signal: requests in flight are answered, and no process is left. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { findFreePort, root } from '../../scripts/dev-server.ts';
import { inlineModel } from '../support/onnx-models.ts';
import { publishInto } from '../support/origin-service.ts';
import { trustedPublishers } from '../support/publisher.ts';
import { bearer } from '../support/services.ts';
import { beginRequest, type NpmScript, processes, startNpmScript, untilNotServed } from './npm-script.ts';

const folder = mkdtempSync(join(tmpdir(), 'edgewise-signals-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const key = 'ew_signals';
const width = 4;
const tensor = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, width] });
const chainBody = JSON.stringify({ inputs: [{ ...tensor('x'), shape: [1, width], data: [1, 2, 3, 4] }] });
const mlpBody = JSON.stringify({
  inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 10], data: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }],
});

beforeAll(async () => {
  const graph = new Uint8Array(inlineModel({ layers: 1, width }).graph);
  await publishInto(folder, graph, { name: 'chain', inputs: [tensor('x')], outputs: [tensor('y')] });
});

let running: NpmScript | undefined;
afterEach(() => {
  const left = running?.left() ?? [];
  running = undefined;
  for (const process_ of left) process.kill(Number.parseInt(process_, 10), 'SIGKILL');
});

async function startOrigin(port: number): Promise<NpmScript> {
  running = await startNpmScript({
    args: ['run', 'origin'],
    env: {
      EDGEWISE_PORT: String(port),
      EDGEWISE_REPOSITORY_DIR: folder,
      EDGEWISE_EXECUTION_PROVIDERS: 'cpu',
      EDGEWISE_CALLER_KEYS_SHA256: createHash('sha256').update(key).digest('hex'),
      EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
      EDGEWISE_DRAIN_GRACE_MS: '200',
    },
    mark: folder,
    ready: '"event":"listening"',
  });
  return running;
}

const state = join(folder, 'start');

async function start(port: number): Promise<NpmScript> {
  running = await startNpmScript({
    args: ['start'],
    env: { PORT: String(port), EDGEWISE_STATE: state },
    mark: state,
    ready: 'Ctrl-C stops both',
  });
  return running;
}

type Tell = (script: NpmScript) => void;
const signal = (pid: number | undefined, name: NodeJS.Signals) => process.kill(Number(pid), name);
const ends: readonly (readonly [string, Tell, number | NodeJS.Signals])[] = [
  ['SIGTERM to npm alone', ({ npm }) => signal(npm.pid, 'SIGTERM'), 0],
  ['SIGINT to the script', ({ script }) => signal(script(), 'SIGINT'), 0],
  ['SIGINT to both, as a terminal sends it', ({ npm }) => signal(-Number(npm.pid), 'SIGINT'), 0],
  ['SIGKILL of npm', ({ npm }) => signal(npm.pid, 'SIGKILL'), 'SIGKILL'],
];

/** Tells the script to end, and expects it to finish the request in flight while it accepts no new ones. */
async function expectOrderlyEnd(
  script: NpmScript,
  port: number,
  path: string,
  [, tell, code]: (typeof ends)[number],
): Promise<void> {
  const isOrigin = path.includes('chain');
  // The worker's samples are open to unauthenticated callers, and it does not know this key.
  const slow = await beginRequest(port, path, isOrigin ? chainBody : mlpBody, isOrigin ? bearer(key) : {});
  tell(script);
  await untilNotServed(port);
  slow.finish();
  expect(await slow.status).toBe(200);
  expect(await script.ended).toBe(code);
  await vi.waitFor(() => expect(script.left()).toEqual([]), { timeout: 20_000, interval: 50 });
}

const linux = process.platform === 'linux';

describe.runIf(linux)('npm run origin', () => {
  it.each(ends)('answers requests in flight and leaves no process: %s', async (...end) => {
    const port = await findFreePort();
    await expectOrderlyEnd(await startOrigin(port), port, '/v2/models/chain/infer', end);
  });
});

describe.runIf(linux)('npm start', () => {
  // The samples are published once, so that each later start takes seconds.
  beforeAll(async () => {
    const { npm, ended } = await start(await findFreePort());
    signal(npm.pid, 'SIGTERM');
    await ended;
  }, 600_000);

  it.each(ends)(
    'answers requests in flight and leaves no process: %s',
    async (...end) => {
      const port = await findFreePort();
      const script = await start(port);
      const warm = { method: 'POST', body: mlpBody };
      expect((await fetch(`http://127.0.0.1:${port}/v2/models/mlp/infer`, warm)).status).toBe(200);
      await expectOrderlyEnd(script, port, '/v2/models/mlp/infer', end);
    },
    240_000,
  );

  it('leaves no process when it is killed, and starts again on the same port', async () => {
    const port = await findFreePort();
    const killed = await start(port);
    signal(killed.script(), 'SIGKILL');
    await vi.waitFor(() => expect(killed.left()).toEqual([]), { timeout: 20_000, interval: 50 });
    const again = await start(port);
    expect((await fetch(`http://127.0.0.1:${port}/v2/models/mlp`)).status).toBe(200);
    signal(again.npm.pid, 'SIGTERM');
    expect(await again.ended).toBe(0);
  }, 240_000);

  it('restarts the origin when it ends, and exits with 1 and the reason when the worker ends', async () => {
    const port = await findFreePort();
    const { npm: _, ...script } = await start(port);
    const origins = () =>
      processes((each) => each.args.includes('src/node.ts') && each.environment.includes(state));
    const [origin = ''] = origins();
    signal(Number.parseInt(origin, 10), 'SIGKILL');
    await vi.waitFor(
      () => expect(script.output()).toContain('The origin has ended by SIGKILL; restart in 1 s'),
      {
        timeout: 10_000,
      },
    );
    const atOrigin = async () =>
      (
        await fetch(`http://127.0.0.1:${port}/v2/models/mlp/infer`, {
          method: 'POST',
          body: mlpBody,
          headers: { 'Edgewise-Tier': 'origin' },
        })
      ).headers.get('Edgewise-Tier');
    await vi.waitFor(async () => expect(await atOrigin()).toBe('origin'), { timeout: 60_000, interval: 200 });

    const [wrangler = ''] = processes(
      (each) => each.args.includes('wrangler.js dev') && each.args.includes(String(port)),
    );
    signal(Number.parseInt(wrangler, 10), 'SIGKILL');
    expect(await script.ended).toBe(1);
    expect(script.output()).toContain('npm start: the worker has died: wrangler ended by SIGKILL\n');
    await vi.waitFor(() => expect(script.left()).toEqual([]), { timeout: 20_000, interval: 50 });
  }, 240_000);

  it('leaves no process when it is stopped during its start', async () => {
    const port = await findFreePort();
    const child = spawn(process.execPath, [join(root, 'scripts/start.ts')], {
      cwd: root,
      stdio: 'ignore',
      env: { ...process.env, PORT: String(port), EDGEWISE_STATE: state },
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const hasStarted = () =>
      processes(({ args, environment }) => args.includes('dev') && environment.includes(state));
    await vi.waitFor(() => expect(hasStarted()).not.toEqual([]), { timeout: 60_000, interval: 50 });
    child.kill('SIGINT');
    expect(await ended).toBe(0);
    const left = () =>
      processes(({ args, environment }) => args.includes(state) || environment.includes(state));
    await vi.waitFor(() => expect(left()).toEqual([]), { timeout: 20_000, interval: 50 });
  }, 120_000);
});

describe('npm start without its port', () => {
  it.each([
    [
      'another program has its port',
      'in use',
      /^npm start: port \d+ is in use by another program: .* npm start\n$/,
    ],
    ['its port is none', '70000', 'npm start: PORT is "70000"; expected a number from 1 to 65535\n'],
  ])('reports it in one sentence if %s', async (_, given, sentence) => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    const taken = typeof address === 'object' ? String(address?.port) : '';
    const env = { ...process.env, PORT: given === 'in use' ? taken : given };
    const options = { cwd: root, env, encoding: 'utf8' } as const;
    const { status, stderr } = spawnSync(process.execPath, ['scripts/start.ts'], options);
    expect(status).toBe(1);
    expect(stderr).toEqual(typeof sentence === 'string' ? sentence : expect.stringMatching(sentence));
    await new Promise((resolve) => other.close(resolve));
  });
});
