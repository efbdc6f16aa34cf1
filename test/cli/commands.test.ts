import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openVersion } from '../../src/cli/transfer/download.ts';
import { pullModel } from '../../src/cli/transfer/pull.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import { joinModel } from '../../src/repository/onnx/split.ts';
import type { Digest } from '../../src/storage/types.ts';
import { runEdgewise } from './command-line.ts';
import { adminKey, startTestServer, type TestServer } from './server.ts';

let server: TestServer;
let folder: string;
const client = () => createAdminClient({ url: server.url, key: adminKey });

const edgewise = (...args: readonly string[]) => runEdgewise(server, ...args);

beforeAll(async () => {
  server = await startTestServer();
  folder = mkdtempSync(join(tmpdir(), 'edgewise-cli-'));
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

describe('edgewise model', { timeout: 60_000 }, () => {
  it('push prints progress on stderr and the result as JSON on stdout', async () => {
    const { code, stdout, stderr } = await edgewise(
      'model',
      'push',
      'models/digits',
      '--alias',
      'stable',
      '--json',
    );
    expect(stderr).toMatch(
      /check .*\n.*reference .*\n.*split .*\n.*measure .*batch 1:[\s\S]*upload .*\n[\s\S]*sign .*\n.*publish .*created/,
    );
    expect(JSON.parse(stdout)).toMatchObject({ name: 'digits', version: '1', status: 'created' });
    expect(code).toBe(0);
  });

  it('list, inspect and verify show the pushed model', async () => {
    expect((await edgewise('model', 'list')).stdout).toMatch(/digits +1 +stable→1/);
    expect((await edgewise('model', 'inspect', 'digits@stable')).stdout).toMatch(
      /model +digits@1\n[\s\S]*licence +Apache-2.0, acceptance not-required\n[\s\S]*use +by the licence, also by unauthenticated callers\n[\s\S]*inputs +image FP32\[-1,1,28,28\]/,
    );
    const verified = JSON.parse((await edgewise('model', 'verify', 'digits', '--json')).stdout);
    expect(verified).toMatchObject({ version: '1', verified: true, blobs: 3, signer: 'tests' });
  });

  it('exits with 2 for misuse, and with 1, the code and the next step for a failure', async () => {
    expect((await edgewise('model', 'push')).code).toBe(2);
    expect((await edgewise('model', 'push', 'models/mlp', '--memory-cap', 'much')).code).toBe(2);
    const missing = await edgewise('model', 'inspect', 'nobody', '--json');
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(
      /edgewise: .*nobody.*\n {2}code: model_not_found\n {2}next: edgewise model list/,
    );
    expect(JSON.parse(missing.stdout)).toMatchObject({ error: { code: 'model_not_found' } });
    expect((await edgewise('model', 'remove', 'digits')).stderr).toContain('digits --all for every version');
    expect((await edgewise('model', 'list', '--url', 'http://127.0.0.1:1')).stderr).toMatch(
      /cannot be reached.*\n.*\n {2}next: is the worker running/,
    );
  });

  it('inspect reads an .onnx file without a worker', async () => {
    const { stdout } = await edgewise('model', 'inspect', 'models/mlp/1/model.onnx');
    expect(stdout).toMatch(/operators +Gemm×2/);
  });
});

describe('pullModel()', () => {
  it('writes graph and weights that native ONNX Runtime loads, and the same joined', async () => {
    const parts = await pullModel(client(), 'digits', '1', { out: join(folder, 'parts') });
    expect(parts.files).toEqual(['model.onnx', 'weights.bin', 'LICENSE', 'manifest.json', 'model.sig']);
    const [graph, weights] = ['model.onnx', 'weights.bin'].map((file) =>
      readFileSync(join(folder, 'parts', file)),
    );
    const whole = await pullModel(client(), 'digits', 'stable', {
      out: join(folder, 'joined'),
      joined: true,
    });
    expect(whole.files).toEqual(['model.onnx', 'LICENSE', 'manifest.json']);
    const joined = readFileSync(join(folder, 'joined', 'model.onnx'));
    expect(Buffer.compare(joinModel(graph ?? joined, weights), joined)).toBe(0);
    const session = await createOrtNodeEngine().createSession({ graph: joined });
    expect(session.inputs[0]?.name).toBe('image');
  });

  it('leaves no files when a chunk is damaged, and overwrites no folder', async () => {
    await expect(pullModel(client(), 'digits', '1', { out: join(folder, 'parts') })).rejects.toMatchObject({
      code: 'conflict',
    });
    const before = readdirSync(folder);
    const damaged = {
      ...client(),
      getBlob: async (digest: Digest) => flipped(await client().getBlob(digest), digest),
    };
    const { manifest } = await client().version('digits', '1');
    const chunk = manifest.weights?.chunks[0]?.digest;
    function flipped(bytes: Uint8Array<ArrayBuffer>, digest: Digest): Uint8Array<ArrayBuffer> {
      return digest === chunk ? bytes.map((byte, index) => (index === 77 ? byte ^ 1 : byte)) : bytes;
    }
    await expect(pullModel(damaged, 'digits', '1', { out: join(folder, 'new') })).rejects.toMatchObject({
      code: 'digest_mismatch',
      message: expect.stringMatching(/chunk 0 of the weights of digits@1 should be sha256/),
    });
    expect(existsSync(join(folder, 'new'))).toBe(false);
    expect(readdirSync(folder)).toEqual(before);
  });
});

describe('openVersion()', () => {
  it('rejects a manifest with another digest', async () => {
    const real = client();
    const altered = {
      ...real,
      version: async (name: string, version: string) => {
        const published = await real.version(name, version);
        return { ...published, manifest: { ...published.manifest, description: 'another' } };
      },
    };
    await expect(openVersion(altered, 'digits', '1')).rejects.toMatchObject({
      code: 'digest_mismatch',
      message: expect.stringContaining('the manifest of digits@1'),
    });
  });
});
