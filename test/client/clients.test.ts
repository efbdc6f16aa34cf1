import { beforeAll, describe, expect, it } from 'vitest';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { createInferenceClient } from '../../src/client/inference-client.ts';
import { encodeModel, tensorTypes } from '../../src/repository/onnx/proto.ts';
import { digestOf } from '../../src/storage/digest.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { model, value } from '../repository/onnx/models.ts';
import { signManifest } from '../support/publisher.ts';
import { adminKey, publishTiny, type TestService, testService } from '../support/services.ts';

const url = 'http://edge.test';
let service: TestService;

/** The client's fetch, answered by the app itself. */
const appFetch: typeof fetch = (input, init) => {
  const { pathname, search } = new URL(String(input));
  return service.fetch(pathname + search, init);
};
const admin = () => createAdminClient({ url, key: adminKey, fetch: appFetch });
const inference = () => createInferenceClient({ url, fetch: appFetch });

const kinds = {
  f: tensorTypes.FLOAT,
  i: tensorTypes.INT64,
  s: tensorTypes.STRING,
  h: tensorTypes.FLOAT16,
} as const;
const dims = { f: ['n'], i: [2], s: [2], h: [1] } as const;
type Kind = keyof typeof kinds;

/** Outputs are its inputs, each of a kind with an encoding of its own. */
function echo(names: readonly Kind[]) {
  return encodeModel(
    model({
      node: names.map((name) => ({ opType: 'Identity', input: [name], output: [`${name}_out`] })),
      input: names.map((name) => value(name, dims[name], kinds[name])),
      output: names.map((name) => value(`${name}_out`, dims[name], kinds[name])),
    }),
  );
}
const specs = (suffix: string) => [
  { name: `f${suffix}`, datatype: 'FP32' as const, shape: [-1] },
  { name: `i${suffix}`, datatype: 'INT64' as const, shape: [2] },
  { name: `s${suffix}`, datatype: 'BYTES' as const, shape: [2] },
  { name: `h${suffix}`, datatype: 'FP16' as const, shape: [1] },
];
const inputs = new Map<string, Tensor>([
  ['f', { datatype: 'FP32', shape: [3], data: Float32Array.of(1.5, -0, 3e38) }],
  ['i', { datatype: 'INT64', shape: [2], data: BigInt64Array.of(2n ** 62n + 1n, -1n) }],
  ['s', { datatype: 'BYTES', shape: [2], data: ['grüße', ''] }],
  ['h', { datatype: 'FP16', shape: [1], data: Uint16Array.of(0x3c00) }],
]);

beforeAll(async () => {
  service = await testService();
  const plain = { inputs: specs('').slice(0, 3), outputs: specs('_out').slice(0, 3) };
  await publishTiny(service, echo(['f', 'i', 's']), { name: 'plain', ...plain });
  await publishTiny(
    service,
    echo(['f', 'i', 's', 'h']),
    { name: 'acme/echo', inputs: specs(''), outputs: specs('_out') },
    ['stable'],
  );
});

describe('createInferenceClient()', () => {
  it('sends and receives tensors of every encoding in binary', async () => {
    const answer = await inference().infer({ name: 'acme/echo' }, inputs, { id: 'one' });
    for (const [name, { data }] of inputs) {
      expect(answer.outputs.get(`${name}_out`)?.data, name).toEqual(data);
    }
    expect(answer).toMatchObject({ id: 'one', modelName: 'acme/echo', modelVersion: '1' });
    expect(answer.served).toMatchObject({
      tier: 'edge',
      model: expect.stringMatching(/^acme\/echo@1; digest=sha256:/),
    });
  });

  it('sends and receives tensors in JSON, digit for digit', async () => {
    const some = new Map([...inputs].filter(([name]) => name !== 'h'));
    const answer = await inference().infer({ name: 'plain' }, some, { binary: false });
    for (const [name, { data }] of some) {
      expect(answer.outputs.get(`${name}_out`)?.data, name).toEqual(data);
    }
  });

  it('rejects half floats in JSON, which has no form for them', async () => {
    await expect(inference().infer({ name: 'acme/echo' }, inputs, { binary: false })).rejects.toMatchObject({
      code: 'unsupported_datatype',
    });
  });

  it('requests selected outputs of an alias', async () => {
    const answer = await inference().infer({ name: 'acme/echo', version: 'stable' }, inputs, {
      outputs: ['i_out'],
    });
    expect([...answer.outputs.keys()]).toEqual(['i_out']);
  });

  it('reads health, metadata, index and statistics', async () => {
    const client = inference();
    expect(await client.live()).toBe(true);
    expect(await client.ready()).toBe(true);
    expect(await client.modelReady({ name: 'acme/echo' })).toBe(true);
    expect((await client.serverMetadata()).extensions).toContain('binary_tensor_data');
    expect((await client.modelMetadata({ name: 'acme/echo' })).inputs).toEqual(specs(''));
    expect(await client.index({ ready: true })).toContainEqual({
      name: 'acme/echo',
      version: '1',
      state: 'READY',
      reason: '',
    });
    const [statistics] = await client.statistics({ name: 'acme/echo' });
    expect(statistics?.inference_count).toBeGreaterThan(0);
  });

  it("throws the server's code", async () => {
    await expect(inference().infer({ name: 'nobody' }, inputs)).rejects.toMatchObject({
      code: 'model_not_found',
    });
    await expect(inference().infer({ name: 'acme/echo' }, new Map())).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });
});

describe('createAdminClient()', () => {
  it('stores blobs and finds them', async () => {
    const bytes = Uint8Array.of(1, 2, 3);
    const digest = await digestOf(bytes);
    expect(await admin().hasBlob(digest)).toBe(false);
    await expect(admin().getBlob(digest)).rejects.toMatchObject({ code: 'not_found' });
    await admin().putBlob(digest, bytes);
    expect(await admin().hasBlob(digest)).toBe(true);
    expect(await admin().getBlob(digest)).toEqual(bytes);
    await expect(admin().putBlob(digest, Uint8Array.of(9))).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });

  it('publishes, sets aliases and policies, lists and removes', async () => {
    const client = admin();
    const { manifest } = await client.version('acme/echo', 'stable');
    const next = { ...manifest, version: '2' };
    const signature = await signManifest(next);
    expect(
      await client.publishVersion(next, signature, { aliases: ['canary'], versionPolicy: { all: {} } }),
    ).toBe('created');
    expect(await client.publishVersion(next, signature)).toBe('unchanged');
    await client.setAlias('acme/echo', 'old', '1');
    const { index, served } = await client.model('acme/echo');
    expect(index.aliases).toEqual({ stable: '1', canary: '2', old: '1' });
    expect(served).toEqual(['2', '1']);
    await client.setVersionPolicy('acme/echo', { latest: { numVersions: 1 } });
    await client.removeAlias('acme/echo', 'old');
    expect((await client.models()).map(({ name }) => name)).toEqual(['acme/echo', 'plain']);
    await client.removeVersion('acme/echo', '2');
    await expect(client.version('acme/echo', '2')).rejects.toMatchObject({ code: 'version_not_found' });
    await client.removeModel('acme/echo');
    await expect(client.model('acme/echo')).rejects.toMatchObject({ code: 'model_not_found' });
  });

  it('sets a split and a shadow of an alias', async () => {
    const client = admin();
    const { manifest } = await client.version('plain', '1');
    const next = { ...manifest, version: '2' };
    await client.publishVersion(next, await signManifest(next), { aliases: ['beta'] });
    const arms = [
      { version: '1', tier: 'edge' as const, percent: 40 },
      { version: '2', percent: 60 },
    ];
    await client.setSplit('plain', 'beta', { arms });
    await client.setShadow('plain', 'beta', { version: '1', percent: 0.5 });
    const { index, served } = await client.model('plain');
    expect(index).toMatchObject({
      splits: { beta: { arms } },
      shadows: { beta: { version: '1', percent: 0.5 } },
    });
    expect(served).toEqual(['2', '1']);
    expect(await client.shadows('plain')).toEqual([]);
    await client.removeSplit('plain', 'beta');
    await client.removeShadow('plain', 'beta');
    const after = (await client.model('plain')).index;
    expect([after.splits, after.shadows]).toEqual([undefined, undefined]);
    await expect(client.setSplit('plain', 'gamma', { arms })).rejects.toMatchObject({
      code: 'version_not_found',
    });
  });

  it('reads shadow figures, and throws for an answer of another form', async () => {
    const figure = {
      model: 'plain',
      alias: 'beta',
      version: '2',
      tier: 'origin',
      sent: 3,
      skipped: 1,
      failed: 0,
      unlike: 0,
      compared: 3,
      exact: 2,
      near: 3,
      maxDifference: 1e-6,
      rows: 3,
      sameTopRows: 3,
    };
    const answering = (shadows: unknown) =>
      createAdminClient({ url, fetch: () => Promise.resolve(Response.json({ shadows })) });
    expect(await answering([figure]).shadows('plain')).toEqual([figure]);
    await expect(answering([{ ...figure, sent: -1 }]).shadows('plain')).rejects.toMatchObject({
      code: 'origin_unavailable',
      message: expect.stringContaining('shadows[0].sent'),
    });
  });

  it('throws unauthenticated with a wrong key', async () => {
    const stranger = createAdminClient({ url, key: 'ew_other', fetch: appFetch });
    await expect(stranger.models()).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});
