/** Publishing as a user does: the command line, in processes of its own, against a running worker. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type DevServer, findFreePort } from '../../scripts/dev-server.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { createInferenceClient } from '../../src/client/inference-client.ts';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import type { Feeds } from '../../src/engine/types.ts';
import { startService } from '../support/dev-service.ts';
import { unknownOperatorModel } from '../support/onnx-models.ts';
import { fp32, fp32Output } from '../support/run.ts';
import { type CommandResult, startCommand } from './command-line.ts';
import { chainModel, chainWidth, graphWithoutWeights, writeModelFolder } from './model-folders.ts';
import { startStallingProxy } from './stalling-proxy.ts';

let server: DevServer;
/** Timeout of one test. */
let folder: string;

beforeAll(async () => {
  server = await startService();
});
afterAll(() => server?.stop());

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'edgewise-model-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function edgewise(...args: string[]): Promise<CommandResult> {
  return startCommand(args, server).ended;
}

/** Runs the command with `--json` and returns its output. */
async function answer(...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await edgewise(...args, '--json');
  expect(stderr).not.toContain('edgewise:');
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

const feeds: Feeds = new Map([
  [
    'x',
    fp32(
      [2, chainWidth],
      Float32Array.from({ length: 2 * chainWidth }, (_, i) => 1e5 * Math.sin(i)),
    ),
  ],
]);

async function nativeAnswer(graph: Uint8Array): Promise<Float32Array> {
  const session = await createOrtNodeEngine().createSession({ graph });
  const fetches = await session.run(feeds);
  await session.release();
  return fp32Output(fetches, 'y').data;
}

/** Runs an inference over HTTP. Returns the output and the version that answered. */
async function inferVersion(
  name: string,
  version?: string,
): Promise<{ version: string; data: Float32Array }> {
  const client = createInferenceClient({ url: server.url });
  const model = version === undefined ? { name } : { name, version };
  const { outputs, modelVersion = '' } = await client.infer(model, feeds);
  return { version: modelVersion, data: fp32Output(outputs, 'y').data };
}

/** The model's ten matrices shrink their input from 1e5 to about 1. */
function expectClose(answered: Float32Array, expected: Float32Array): void {
  expect(answered.length).toBe(expected.length);
  const differences = answered.map((value, index) => Math.abs(value - (expected[index] ?? Number.NaN)));
  expect(Math.max(...differences)).toBeLessThan(1e-5);
  expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(0.01);
}

describe('edgewise model', () => {
  it('publishes a folder under a name with an organisation, and finds it unchanged the second time', async () => {
    writeModelFolder(folder, chainModel(1), { name: 'acme/chain', config: { maxBatchSize: 4 } });
    const first = await edgewise('model', 'push', folder, '--alias', 'stable');
    expect(first.stdout).toMatch(/^acme\/chain@1 created: 10\.\d MiB in \d+ blobs uploaded/);
    expect(first.stderr).toMatch(/^measure +batch 1: [\d.]+ ms(, [\d.]+ ms of CPU time)?$/m);
    expect(first.code).toBe(0);
    expect(await answer('model', 'push', folder)).toMatchObject({
      status: 'unchanged',
      uploadedBlobs: 0,
    });
    const { version, data } = await inferVersion('acme/chain');
    expect(version).toBe('1');
    expectClose(data, await nativeAnswer(chainModel(1)));

    expect((await edgewise('model', 'list')).stdout).toMatch(/^acme\/chain +1 +stable→1 +published$/m);
    const inspected = (await edgewise('model', 'inspect', 'acme/chain')).stdout;
    expect(inspected).toMatch(/^inputs +x FP32\[-1,512\]$/m);
    expect(inspected).toMatch(/^weights +10\.0 MiB in \d+ chunks$/m);
    expect((await edgewise('model', 'verify', 'acme/chain@stable')).stdout).toMatch(
      /^acme\/chain@1 is whole: \d+ blobs, 10\.\d MiB, digest sha256:[0-9a-f]{64}$/m,
    );
  });

  it('serves the version that the alias points to', async () => {
    writeModelFolder(folder, chainModel(1), { name: 'aliased' });
    await answer('model', 'push', folder, '--alias', 'stable');
    writeModelFolder(folder, chainModel(2), { name: 'aliased', version: '2' });
    await answer('model', 'push', folder, '--alias', 'canary');
    expect((await inferVersion('aliased')).version).toBe('1');
    const canary = await inferVersion('aliased', 'canary');
    expect(canary.version).toBe('2');
    expectClose(canary.data, await nativeAnswer(chainModel(2)));

    await answer('model', 'alias', 'aliased@2', 'stable');
    expect((await inferVersion('aliased')).version).toBe('2');
    await answer('model', 'alias', 'aliased', 'canary', '--remove');
    expect(await answer('model', 'list')).toContainEqual(
      expect.objectContaining({ name: 'aliased', aliases: { stable: '2' } }),
    );
  });

  it('serves the versions that the version policy selects', async () => {
    writeModelFolder(folder, chainModel(1), { name: 'policy' });
    await answer('model', 'push', folder);
    writeModelFolder(folder, chainModel(2), { name: 'policy', version: '2' });
    await answer('model', 'push', folder);
    // Triton's default: the latest version.
    expect((await inferVersion('policy')).version).toBe('2');
    await expect(inferVersion('policy', '1')).rejects.toMatchObject({ code: 'version_not_found' });

    const versionPolicy = { specific: { versions: ['1'] } };
    writeModelFolder(folder, chainModel(2), { name: 'policy', version: '2', config: { versionPolicy } });
    expect(await answer('model', 'push', folder)).toMatchObject({ status: 'unchanged' });
    expect((await inferVersion('policy')).version).toBe('1');
    await expect(inferVersion('policy', '2')).rejects.toMatchObject({ code: 'version_not_found' });
  });

  it('pulls a version as one file that gives the same answers', async () => {
    writeModelFolder(folder, chainModel(3), { name: 'pulled' });
    await answer('model', 'push', folder);
    const out = join(folder, 'out');
    expect(await answer('model', 'pull', 'pulled@1', '--joined', '--out', out)).toMatchObject({
      files: ['model.onnx', 'LICENSE', 'manifest.json'],
    });
    const file = new Uint8Array(readFileSync(join(out, 'model.onnx')));
    expect(await nativeAnswer(file)).toEqual(await nativeAnswer(chainModel(3)));

    const again = await edgewise('model', 'pull', 'pulled@1', '--out', out);
    expect(again.code).toBe(1);
    expect(again.stderr).toMatch(/exists already; choose another folder with --out/);
  });

  it('removes a version, and with the last one the model and its blobs', async () => {
    writeModelFolder(folder, chainModel(4), { name: 'removed', config: { versionPolicy: { all: {} } } });
    await answer('model', 'push', folder);
    writeModelFolder(folder, chainModel(4), { name: 'removed', version: '2' });
    await answer('model', 'push', folder);
    const admin = createAdminClient({ url: server.url, key: server.adminKey });
    const { manifest } = await admin.version('removed', '2');

    await answer('model', 'remove', 'removed@1');
    await expect(inferVersion('removed', '1')).rejects.toMatchObject({ code: 'version_not_found' });
    // Both versions have the same blobs.
    expectClose((await inferVersion('removed', '2')).data, await nativeAnswer(chainModel(4)));
    await answer('model', 'remove', 'removed', '--all');
    await expect(inferVersion('removed')).rejects.toMatchObject({ code: 'model_not_found' });
    expect((await edgewise('model', 'list')).stdout).not.toContain('removed');
    // Not the graph: other models here share it.
    const digests = (manifest.weights?.chunks ?? []).map(({ digest }) => digest);
    expect(digests.length).toBeGreaterThan(0);
    expect(await Promise.all(digests.map((digest) => admin.hasBlob(digest)))).toEqual(
      digests.map(() => false),
    );
  });
});

describe('edgewise model push, cut off in the middle of the upload', () => {
  it.each<[NodeJS.Signals, number | null]>([
    ['SIGKILL', null],
    ['SIGINT', 130],
  ])('by %s publishes nothing, and the next push completes it', async (signal, code) => {
    const name = `cut-${signal.toLowerCase()}`;
    writeModelFolder(folder, chainModel(signal.length), { name });
    let uploads = 0;
    const proxy = await startStallingProxy(server.url, (method, path) => {
      uploads += method === 'PUT' && path.startsWith('/admin/blobs/') ? 1 : 0;
      return uploads > 2;
    });
    const push = startCommand(['model', 'push', folder, '--alias', 'stable'], { ...server, url: proxy.url });
    await Promise.race([proxy.stalled, push.ended]);
    push.kill(signal);
    const cut = await push.ended;
    await proxy.close();
    expect(cut.code).toBe(code);
    expect(cut.stdout).toBe('');

    expect((await edgewise('model', 'list')).stdout).not.toContain(name);
    expect((await edgewise('model', 'inspect', name)).stderr).toContain('code: model_not_found');
    await expect(inferVersion(name)).rejects.toMatchObject({ code: 'model_not_found' });

    const next = await edgewise('model', 'push', folder);
    expect(next.code).toBe(0);
    // The blobs of the first two requests are used.
    expect(missingBlobs(next)).toBe(missingBlobs(cut) - 2);
    expectClose((await inferVersion(name)).data, await nativeAnswer(chainModel(signal.length)));
  });
});

function missingBlobs({ stderr }: CommandResult): number {
  return Number(/^upload +(\d+) of \d+ blobs are missing/m.exec(stderr)?.[1]);
}

describe('edgewise reports the error', () => {
  const corrupt = (): Uint8Array => chainModel(1).slice(0, 1000);

  it.each<[string, () => Uint8Array, string[], string, RegExp]>([
    [
      'is no ONNX file',
      () => Buffer.from('no model at all'),
      [],
      'invalid_request',
      /15 bytes cannot be parsed: /,
    ],
    ['is cut off', corrupt, [], 'invalid_request', /1000 bytes cannot be parsed: .* runs past the end/],
    [
      'has an operator that no engine has',
      () => unknownOperatorModel().graph,
      [],
      'invalid_request',
      /uses the operator com\.example:Nonesuch, which this engine lacks/,
    ],
    ['lacks its weights', graphWithoutWeights, [], 'invalid_request', /"weights\.bin", which does not exist/],
    [
      'is too large',
      () => chainModel(1),
      ['--memory-cap', '20'],
      'too_large',
      /needs [\d.]+ MiB .* more than the edge has \(20\.0 MiB\)/,
    ],
  ])('when the model %s', async (_, model, args, code, message) => {
    writeModelFolder(folder, model(), { name: 'refused' });
    const refused = await edgewise('model', 'push', folder, '--json', ...args);
    expect(refused.code).toBe(1);
    expect(JSON.parse(refused.stdout)).toEqual({ error: { code, message: expect.stringMatching(message) } });
    expect(refused.stderr).toContain(`code: ${code}`);
    expect((await edgewise('model', 'list')).stdout).not.toContain('refused');
  });

  it('when a published version would change', async () => {
    writeModelFolder(folder, chainModel(1), { name: 'fixed' });
    await answer('model', 'push', folder);
    writeModelFolder(folder, chainModel(2), { name: 'fixed' });
    const refused = await edgewise('model', 'push', folder);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(
      /a version never changes: put the new model into a folder of its own, .*\/2$/m,
    );
  });

  it('when the config is wrong', async () => {
    writeModelFolder(folder, chainModel(1), { name: 'refused', config: { maxBatchSize: -1 } });
    expect((await edgewise('model', 'push', folder)).stderr).toMatch(
      /config\.json: maxBatchSize is -1; expected /,
    );
    writeFileSync(join(folder, 'config.json'), '{');
    expect((await edgewise('model', 'push', folder)).stderr).toMatch(/config\.json is not JSON/);
  });

  it.each<[string, object, number, RegExp]>([
    [
      'the key is wrong',
      { adminKey: 'ewa_wrong' },
      1,
      /code: unauthenticated\n {2}next: set EDGEWISE_ADMIN_KEY/,
    ],
    ['there is no key', { adminKey: undefined }, 1, /there is no admin key: set EDGEWISE_ADMIN_KEY/],
    ['the address is none', { url: 'worker' }, 1, /"worker" is not the address of a server/],
  ])('when %s', async (_, connection, code, message) => {
    const result = await startCommand(['model', 'list'], { ...server, ...connection }).ended;
    expect(result.stderr).toMatch(message);
    expect(result.code).toBe(code);
  });

  it('when the server is down', async () => {
    const url = `http://127.0.0.1:${await findFreePort()}`;
    const { code, stderr } = await startCommand(['model', 'list'], { ...server, url }).ended;
    expect(stderr).toMatch(
      /cannot be reached \(ECONNREFUSED.*\n.*origin_unavailable\n {2}next: is the worker running\?/,
    );
    expect(code).toBe(1);
  });

  it.each<[string, string[], number, RegExp]>([
    ['a verb that is none', ['model', 'shove'], 2, /unknown command 'shove'/],
    ['a missing argument', ['model', 'push'], 2, /missing required argument 'folder'/],
    ['an alias that is none', ['model', 'push', '.', '--alias', 'No!'], 2, /expected lower-case letters/],
    ['a model that is not there', ['model', 'verify', 'nonesuch'], 1, /code: model_not_found/],
    ['a name that is none', ['model', 'inspect', 'a/b/c'], 2, /is not a model/],
    [
      'a folder that is not there',
      ['model', 'push', '/nonesuch'],
      1,
      /config\.json cannot be read \(ENOENT\)/,
    ],
    ['a removal that does not say what of', ['model', 'remove', 'mlp'], 2, /say what to remove/],
  ])('of %s', async (_, args, code, message) => {
    const result = await edgewise(...args);
    expect(result.stderr).toMatch(message);
    expect(result.code).toBe(code);
  });
});
