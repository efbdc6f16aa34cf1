import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type PushProcessOptions, pushInProcess } from '../../src/cli/transfer/push-process.ts';
import { createPublishEngines } from '../../src/platform/node-cli.ts';
import { encodeModel, type ModelProto, tensorTypes } from '../../src/repository/onnx/proto.ts';
import { watchEngines } from '../../src/repository/publish/watched-engines.ts';
import { graphAttribute, op, scalar, truth } from '../repository/onnx/cost/graphs.ts';
import { matMul, model, value } from '../repository/onnx/models.ts';
import { publisherKey } from '../support/publisher.ts';
import { licenceFile, licenceText, openSourceTerms } from '../support/terms.ts';
import { runEdgewise } from './command-line.ts';
import { adminKey, startTestServer, type TestServer } from './server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

let folder: string;
let count = 0;
// Other tests push, too: this file sees its own folders alone.
const scratch = mkdtempSync(join(tmpdir(), 'push-scratch-'));
afterAll(() => rmSync(scratch, { recursive: true }));
beforeEach(() => {
  vi.stubEnv('TMPDIR', scratch);
  count += 1;
  folder = mkdtempSync(join(tmpdir(), 'push-process-'));
  return () => rmSync(folder, { recursive: true });
});

function write(source: ModelProto): void {
  mkdirSync(join(folder, '1'));
  writeFileSync(join(folder, '1', 'model.onnx'), encodeModel(source));
  writeFileSync(
    join(folder, 'config.json'),
    JSON.stringify({ name: `acme/looped${count}`, description: 'd', terms: openSourceTerms }),
  );
  writeFileSync(join(folder, licenceFile), licenceText);
}

/** `y` = `x` + `x` + …, as often as a constant says: bounded by its shapes, and endless all the same. */
function endless(trips: bigint): ModelProto {
  const body = {
    name: 'body',
    node: [op('Add', ['state', 'x'], ['next']), op('Identity', ['go'], ['goOn'])],
    input: [
      value('iteration', [], tensorTypes.INT64),
      value('go', [], tensorTypes.BOOL),
      value('state', [1]),
    ],
    output: [value('goOn', [], tensorTypes.BOOL), value('next', [1])],
  };
  return model({
    node: [op('Loop', ['trips', 'true', 'x'], ['y'], [graphAttribute('body', body)])],
    initializer: [scalar('trips', trips), truth('true')],
    input: [value('x', [1])],
    output: [value('y', [1])],
  });
}

const options = (): PushProcessOptions => ({ url: server.url, adminKey, publisherKey });

/** Folders that a push has made for itself and not removed. */
const left = () => readdirSync(tmpdir()).filter((name) => name.startsWith('edgewise-push-'));

describe('pushInProcess()', { timeout: 120_000 }, () => {
  it('publishes a model and reports its progress', async () => {
    write(matMul(4, 4));
    const steps: string[] = [];
    const result = await pushInProcess(folder, {
      ...options(),
      onProgress: ({ step }) => steps.push(step),
    });
    expect(result).toMatchObject({
      name: `acme/looped${count}`,
      status: 'created',
      manifest: { bounded: true },
    });
    expect(steps).toContain('reference');
    expect(steps.at(-1)).toBe('publish');
  });

  it('kills a run that exceeds the time limit', async () => {
    write(endless(10n ** 13n));
    const before = left();
    const began = performance.now();
    await expect(pushInProcess(folder, { ...options(), timeLimitMs: 8000 })).rejects.toMatchObject({
      code: 'deadline_exceeded',
      message: expect.stringMatching(/has not ended within 8 s .*--time-limit/),
    });
    expect(performance.now() - began).toBeLessThan(60_000);
    expect(left().filter((name) => !before.includes(name))).toEqual([]);
  });

  it('throws the error of the push', async () => {
    await expect(pushInProcess(folder, options())).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('config.json cannot be read'),
    });
  });

  it('is what edgewise model push uses, with its --time-limit', async () => {
    write(endless(10n ** 13n));
    const { code, stdout, stderr } = await runEdgewise(
      server,
      'model',
      'push',
      folder,
      '--time-limit',
      '8',
      '--json',
    );
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'deadline_exceeded' } });
    expect(stderr).toMatch(/not ended within 8 s/);
    expect((await runEdgewise(server, 'model', 'push', folder, '--time-limit', '0')).code).toBe(2);
  });
});

describe('watchEngines()', () => {
  it('reports the end of each load, run and optimisation', async () => {
    let ends = 0;
    const engines = watchEngines(await createPublishEngines(), () => {
      ends += 1;
    });
    const graph = encodeModel(matMul(2, 2));
    const feeds = new Map([['x', { datatype: 'FP32' as const, shape: [1, 2], data: Float32Array.of(1, 2) }]]);
    for (const engine of [engines.native, engines.origin, engines.edge(64 * 2 ** 20)]) {
      const session = await engine.createSession({ graph });
      await session.run(feeds);
      await session.release();
    }
    expect(ends).toBe(6);
    await engines.optimise(graph, 'basic');
    expect(ends).toBe(7);
  });
});
