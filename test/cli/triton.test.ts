import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { generatePublisherKey } from '../../src/cli/signing-key.ts';
import { pullModel } from '../../src/cli/transfer/pull.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { pullForTriton } from '../../src/cli/transfer/triton.ts';
import { labelFiles, tritonConfig, tritonName } from '../../src/cli/transfer/triton-config.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { joinModel } from '../../src/repository/onnx/split.ts';
import type { Manifest } from '../../src/repository/schema.ts';
import { publicKeyPem } from '../../src/repository/signing/public-key.ts';
import { identityModel } from '../support/onnx-models.ts';
import { publisherKey, signingKey, signManifest, trustedPublishers } from '../support/publisher.ts';
import { licenceBytes, licenceDigest } from '../support/terms.ts';
import { tinyManifest } from '../support/tiny-model.ts';
import { adminKey, startTestServer, type TestServer } from './server.ts';

type TensorSpec = Manifest['inputs'][number];

const graph = new Uint8Array(identityModel('FP32', ['count']).graph);

function manifest(changes: Partial<Manifest> = {}): Promise<Manifest> {
  return tinyManifest(graph, {
    name: 'acme/echo',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
    ...changes,
  });
}

describe('tritonName()', () => {
  it('returns one path segment, another for every name', () => {
    expect(tritonName('echo')).toBe('echo');
    expect(tritonName('acme/echo')).toBe('acme~echo');
    expect(encodeURIComponent(tritonName('acme/echo'))).toBe('acme~echo');
  });
});

describe('tritonConfig()', () => {
  it('describes a model without a batch dimension by its full shapes', async () => {
    expect(tritonConfig(await manifest())).toBe(
      [
        '# acme/echo@1, written by edgewise model pull --triton.',
        'name: "acme~echo"',
        'platform: "onnxruntime_onnx"',
        'backend: "onnxruntime"',
        'max_batch_size: 0',
        'version_policy { all { } }',
        'input [ { name: "x" data_type: TYPE_FP32 dims: [ -1 ] } ]',
        'output [ { name: "y" data_type: TYPE_FP32 dims: [ -1 ] } ]',
        '',
      ].join('\n'),
    );
  });

  it('omits the batch dimension, and batches as the model is configured', async () => {
    const batched = await manifest({
      maxBatchSize: 8,
      rowWise: true,
      inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1, 3] }],
      dynamicBatching: { maxQueueDelayMicroseconds: 500, preferredBatchSizes: [4, 8] },
    });
    const text = tritonConfig(batched);
    expect(text).toContain('max_batch_size: 8\n');
    expect(text).toContain('input [ { name: "text" data_type: TYPE_STRING dims: [ 3 ] } ]');
    expect(text).toContain(
      'dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 500 }',
    );
    expect(tritonConfig({ ...batched, dynamicBatching: undefined })).toContain(
      'dynamic_batching { max_queue_delay_microseconds: 0 }',
    );
  });

  it.each([false, undefined])('configures no batches if rowWise is %s', async (rowWise) => {
    const dynamicBatching = { maxQueueDelayMicroseconds: 500, preferredBatchSizes: [4] };
    const text = tritonConfig(await manifest({ maxBatchSize: 8, dynamicBatching, rowWise }));
    expect(text).toContain('max_batch_size: 8\n');
    expect(text).not.toContain('dynamic_batching');
  });

  it('gives a scalar one element, and a reshape only with batches', async () => {
    const sr: TensorSpec = { name: 'sr', datatype: 'INT64', shape: [] };
    expect(tritonConfig(await manifest({ inputs: [sr] }))).toContain(
      'input [ { name: "sr" data_type: TYPE_INT64 dims: [ 1 ] } ]',
    );
    const batched = await manifest({ maxBatchSize: 4, inputs: [{ ...sr, shape: [-1] }] });
    expect(tritonConfig(batched)).toContain(
      'input [ { name: "sr" data_type: TYPE_INT64 dims: [ 1 ] reshape { shape: [ ] } } ]',
    );
  });

  it('escapes characters that would end a string of the text format', async () => {
    const odd: TensorSpec = { name: 'a"b\\c\n\u0085ü', datatype: 'FP32', shape: [1] };
    expect(tritonConfig(await manifest({ inputs: [odd] }))).toContain(
      'input [ { name: "a\\"b\\\\c\\012\\302\\205ü" ',
    );
  });

  it('names the labels file of an output', async () => {
    const labelled = await manifest({ labels: { y: ['no', ' ', 'yes'] } });
    expect(tritonConfig(labelled)).toContain('dims: [ -1 ] label_filename: "labels-0.txt" } ]');
    expect(labelFiles(labelled)).toEqual(new Map([['labels-0.txt', 'no\n \nyes\n']]));
    expect(
      labelFiles(await manifest({ outputs: [{ name: '__proto__', datatype: 'FP32', shape: [1] }] })),
    ).toEqual(new Map());
  });
});

describe('pullForTriton()', { timeout: 60_000 }, () => {
  let server: TestServer;
  let repository: string;
  const client = () => createAdminClient({ url: server.url, key: adminKey });

  beforeAll(async () => {
    server = await startTestServer();
    repository = mkdtempSync(join(tmpdir(), 'edgewise-triton-'));
    await pushModel('models/digits', { url: server.url, adminKey, publisherKey, originOnly: true });
    const { digest } = (await manifest()).graph;
    await client().putBlob(digest, graph);
    await client().putBlob(licenceDigest, licenceBytes);
    for (const version of ['2', '10']) {
      const labels = { y: [`label of ${version}`] };
      const labelled = await manifest({ version, labels, inputsDigest: digest });
      await client().publishVersion(labelled, await signManifest(labelled), {
        versionPolicy: { all: {} },
      });
    }
  });
  afterAll(async () => {
    await server.close();
    rmSync(repository, { recursive: true });
  });

  const echo = () => join(repository, 'acme~echo');
  const config = () => readFileSync(join(echo(), 'config.pbtxt'), 'utf8');

  it('writes graph, weights, labels and configuration of a version', async () => {
    const result = await pullForTriton(client(), 'digits', '1', repository);
    const folder = join(repository, 'digits');
    expect(result).toEqual({ name: 'digits', version: '1', servedAs: 'digits', folder, status: 'created' });
    expect(readdirSync(folder).sort()).toEqual(['1', 'config.pbtxt', 'labels-0.txt']);
    expect(readdirSync(join(folder, '1')).sort()).toEqual([
      'LICENSE',
      'manifest.json',
      'model.onnx',
      'model.sig',
      'weights.bin',
    ]);
    expect(readFileSync(join(folder, 'labels-0.txt'), 'utf8')).toBe(
      readFileSync('models/digits/1/labels.txt', 'utf8'),
    );
    await pullModel(client(), 'digits', '1', { out: join(repository, 'joined'), joined: true });
    const [parts, weights, joined] = ['digits/1/model.onnx', 'digits/1/weights.bin', 'joined/model.onnx'].map(
      (file) => readFileSync(join(repository, file)),
    );
    expect(Buffer.compare(joinModel(parts ?? Buffer.of(), weights), joined ?? Buffer.of())).toBe(0);
  });

  it('adds versions in any order, and keeps the configuration of the highest', async () => {
    await pullForTriton(client(), 'acme/echo', '10', repository);
    expect(config()).toContain('# acme/echo@10,');
    await pullForTriton(client(), 'acme/echo', '2', repository);
    expect(config()).toContain('# acme/echo@10,');
    expect(readFileSync(join(echo(), 'labels-0.txt'), 'utf8')).toBe('label of 10\n');
    expect(readdirSync(echo()).sort()).toEqual(['10', '2', 'config.pbtxt', 'labels-0.txt']);
  });

  it('leaves an existing version unchanged, and throws for one with other content', async () => {
    expect(await pullForTriton(client(), 'acme/echo', '2', repository)).toMatchObject({
      status: 'unchanged',
    });
    writeFileSync(join(echo(), '2', 'manifest.json'), '{}');
    await expect(pullForTriton(client(), 'acme/echo', '2', repository)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('acme/echo@2'),
    });
  });

  it('leaves no files when a chunk is missing', async () => {
    const { manifest } = await client().version('digits', '1');
    const first = manifest.weights?.chunks[0]?.digest;
    const damaged = {
      ...client(),
      getBlob: async (digest: Parameters<ReturnType<typeof client>['getBlob']>[0]) =>
        (await client().getBlob(digest)).map((byte) => (digest === first ? byte ^ 1 : byte)),
    };
    const empty = join(repository, 'empty');
    await expect(pullForTriton(damaged, 'digits', '1', empty)).rejects.toMatchObject({
      code: 'digest_mismatch',
    });
    expect(readdirSync(join(empty, 'digits'))).toEqual([]);
  });

  it('is what edgewise model pull --triton uses, which excludes --out and --joined', async () => {
    process.env['EDGEWISE_ADMIN_KEY'] = adminKey;
    // A checkout that was started before trusts only the publisher that was made there.
    vi.stubEnv('EDGEWISE_TRUSTED_PUBLISHERS', trustedPublishers);
    const folder = join(repository, 'by-command');
    const command = ['model', 'pull', 'digits', '--triton', folder, '--url', server.url];
    expect(await main(command)).toBe(0);
    expect(readdirSync(join(folder, 'digits')).sort()).toEqual(['1', 'config.pbtxt', 'labels-0.txt']);
    expect(await main([...command, '--joined'])).toBe(2);
    vi.unstubAllEnvs();
  });

  it('verifies the signature with --key before it writes anything', async () => {
    process.env['EDGEWISE_ADMIN_KEY'] = adminKey;
    const key = join(repository, 'stranger.pub.pem');
    writeFileSync(key, publicKeyPem(generatePublisherKey().publicKey));
    const folder = join(repository, 'by-stranger');
    const command = ['model', 'pull', 'digits', '--triton', folder, '--url', server.url, '--key', key];
    expect(await main(command)).toBe(1);
    expect(existsSync(folder)).toBe(false);
    writeFileSync(key, publicKeyPem(signingKey.publicKey));
    expect(await main(command)).toBe(0);
    expect(readdirSync(join(folder, 'digits'))).toContain('1');
  });
});
