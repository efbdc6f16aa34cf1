import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/async/clock.ts';
import { openVersion } from '../../src/cli/transfer/download.ts';
import { type PushOptions, pushModel } from '../../src/cli/transfer/push.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import type { Engine } from '../../src/engine/types.ts';
import { encodeModel } from '../../src/repository/onnx/proto.ts';
import { splitModel, weightBytes } from '../../src/repository/onnx/split.ts';
import type { PublishEngines } from '../../src/repository/publish/types.ts';
import { deepMatMul, matMul } from '../repository/onnx/models.ts';
import { fakeRuntime } from '../support/fake-engine.ts';
import { publisherKey } from '../support/publisher.ts';
import { licenceFile, licenceText, openSourceTerms } from '../support/terms.ts';
import { adminKey, startTestServer, type TestServer } from './server.ts';

/** What `deepMatMul` answers does not matter here, only that both engines say the same. */
const sameAnswer: Engine = {
  name: 'fake',
  version: '1',
  memory: () => ({ usedBytes: 1, capBytes: 100 }),
  createSession: async () => ({
    inputs: [],
    outputs: [],
    runtime: fakeRuntime,
    run: async () => new Map([['h2', { datatype: 'FP32', shape: [1, 512], data: new Float32Array(512) }]]),
    release: async () => undefined,
  }),
};
const engines: PublishEngines = {
  native: sameAnswer,
  origin: sameAnswer,
  edge: () => sameAnswer,
  optimise: async (bytes) => bytes,
};

/** Retries at once. */
const impatient: Clock = {
  now: () => performance.now(),
  after(_, wake) {
    queueMicrotask(wake);
    return () => undefined;
  },
};

let server: TestServer;
let folder: string;
const options = (): PushOptions => ({
  url: server.url,
  adminKey,
  publisherKey,
  engines: async () => engines,
  clock: impatient,
});
const client = () => createAdminClient({ url: server.url, key: adminKey, clock: impatient });

function writeModel(version: string, bytes: Uint8Array, config: Record<string, unknown> = {}): void {
  mkdirSync(join(folder, version), { recursive: true });
  writeFileSync(join(folder, version, 'model.onnx'), bytes);
  const required = { name: 'acme/deep', description: 'd', terms: openSourceTerms };
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...required, ...config }));
  writeFileSync(join(folder, licenceFile), licenceText);
}

/** Two to look, one for each blob, one for each upload, one to publish. */
const requestsOfAPush = 2 + 4 + 4 + 1;

const deep = encodeModel(deepMatMul(512, 2));

async function checkWhole(version: string): Promise<void> {
  const download = await openVersion(client(), 'acme/deep', version);
  for await (const _ of download.chunks()) {
    // Reading checks them.
  }
}

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'edgewise-push-'));
  server.cut(() => 'pass');
  return async () => {
    rmSync(folder, { recursive: true });
    server.cut(() => 'pass');
    await client()
      .removeModel('acme/deep')
      .catch(() => undefined);
  };
});

describe('pushModel()', () => {
  it('publishes the highest version, and a repeated push builds and uploads nothing', async () => {
    writeModel('2', encodeModel(matMul(2, 2)));
    writeModel('10', deep);
    expect(await pushModel(folder, options())).toMatchObject({
      version: '10',
      status: 'created',
      uploadedBlobs: 4,
    });
    await checkWhole('10');
    const refuse = async () => {
      throw new Error('engines were asked for');
    };
    const again = await pushModel(folder, { ...options(), engines: refuse, aliases: ['stable'] });
    expect(again).toMatchObject({ version: '10', status: 'unchanged', uploadedBlobs: 0, uploadedBytes: 0 });
    expect((await client().model('acme/deep')).index.aliases).toEqual({ stable: '10' });
  });

  it('uploads only what the server lacks', async () => {
    writeModel('1', deep);
    await pushModel(folder, options());
    writeModel('2', deep);
    expect(await pushModel(folder, options())).toMatchObject({ status: 'created', uploadedBlobs: 0 });
  });

  it('throws for other content under a published version', async () => {
    writeModel('1', deep);
    await pushModel(folder, options());
    writeModel('1', deep, { terms: { ...openSourceTerms, anonymous: false } });
    await expect(pushModel(folder, options())).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/a version never changes.*\/2$/),
    });
  });

  it('applies the version policy of the config without a new version', async () => {
    writeModel('1', deep);
    await pushModel(folder, options());
    writeModel('1', deep, { versionPolicy: { all: {} } });
    expect(await pushModel(folder, options())).toMatchObject({ status: 'unchanged' });
    expect((await client().model('acme/deep')).index.versionPolicy).toEqual({ all: {} });
  });

  it('reports which version goes out of service and which terms change, before it publishes', async () => {
    const said: string[] = [];
    const telling = {
      ...options(),
      onProgress: ({ step, detail }: { step: string; detail: string }) => said.push(`${step}: ${detail}`),
    };
    writeModel('1', deep, { terms: { ...openSourceTerms, grant: 'required', anonymous: false } });
    await pushModel(folder, telling);
    expect(said.filter((line) => /out of service|terms differ/.test(line))).toEqual([]);
    writeModel('2', deep);
    await pushModel(folder, telling);
    const leaves = said.findIndex((line) =>
      /^warning: acme\/deep@1 goes out of service with this push/.test(line),
    );
    const terms = said.indexOf(
      'compare: terms differ from acme/deep@1: grant: "required" → "not-required"; anonymous: false → true',
    );
    const published = said.indexOf('publish: acme/deep@2 created');
    expect(leaves).toBeGreaterThan(0);
    expect(terms).toBeGreaterThan(0);
    expect(published).toBeGreaterThan(Math.max(leaves, terms));
    expect((await client().model('acme/deep')).served).toEqual(['2']);
  });

  it('keeps a version policy that was set by hand if the config has none', async () => {
    writeModel('1', deep);
    await pushModel(folder, options());
    await client().setVersionPolicy('acme/deep', { latest: { numVersions: 2 } });
    writeModel('2', deep);
    const said: string[] = [];
    await pushModel(folder, { ...options(), onProgress: ({ detail }) => said.push(detail) });
    expect((await client().model('acme/deep')).served).toEqual(['2', '1']);
    expect(said.join()).not.toMatch(/out of service/);
  });

  it('names the differences from the version that is published under its number', async () => {
    writeModel('1', deep, { terms: { ...openSourceTerms, grant: 'required', anonymous: false } });
    await pushModel(folder, options());
    writeModel('1', deep);
    await expect(pushModel(folder, options())).rejects.toThrow(
      /with other content \(terms\.grant: "required" → "not-required"; terms\.anonymous: false → true\), and a version never changes/,
    );
    writeModel('1', encodeModel(matMul(2, 2)), {
      terms: { ...openSourceTerms, grant: 'required', anonymous: false },
    });
    await expect(pushModel(folder, options())).rejects.toThrow(/with other content \(model\.onnx differs\)/);
  });

  it('builds again when the server has lost a blob', async () => {
    writeModel('1', deep);
    const { manifest } = await pushModel(folder, options());
    const lost = manifest.weights?.chunks[1]?.digest ?? 'sha256:';
    await server.service.services.blobs.delete(lost);
    expect(await pushModel(folder, options())).toMatchObject({ status: 'unchanged', uploadedBlobs: 1 });
    await checkWhole('1');
  });

  describe.each(['before', 'after'] as const)('cut off %s any request was handled', (when) => {
    it('publishes nothing half, and the next push completes it', async () => {
      writeModel('1', deep);
      let requests = 0;
      for (let last = 1; ; last += 1) {
        server.cut((request) => {
          requests = request;
          return request < last ? 'pass' : when;
        });
        const failure = await pushModel(folder, options()).catch((error: unknown) => error);
        const cutOff = requests >= last;
        server.cut(() => 'pass');
        if (!cutOff) {
          expect(last - 1).toBe(requestsOfAPush);
          break;
        }
        expect(failure).toMatchObject({ code: 'origin_unavailable' });
        const visible = await client()
          .version('acme/deep', '1')
          .catch(() => undefined);
        if (visible !== undefined) {
          await checkWhole('1');
        }
        expect(visible !== undefined).toBe(when === 'after' && last === requestsOfAPush);
        await pushModel(folder, options());
        await checkWhole('1');
        await client().removeModel('acme/deep');
      }
    });
  });

  it('survives connections that break now and then', async () => {
    writeModel('1', deep);
    server.cut((request) => (request % 7 === 0 ? 'after' : 'pass'));
    expect(await pushModel(folder, options())).toMatchObject({ uploadedBlobs: 4 });
    server.cut(() => 'pass');
    await checkWhole('1');
  });

  it.each<[string, () => void, RegExp]>([
    [
      'a folder without config.json',
      () => rmSync(join(folder, 'config.json')),
      /config.json cannot be read \(ENOENT\)/,
    ],
    ['a config that is not JSON', () => writeFileSync(join(folder, 'config.json'), '{'), /is not JSON/],
    ['a config with an unknown key', () => writeModel('1', deep, { liscence: 'MIT' }), /liscence/],
    ['a folder without versions', () => rmSync(join(folder, '1'), { recursive: true }), /no version folder/],
    ['a version without a model', () => rmSync(join(folder, '1', 'model.onnx')), /model.onnx cannot be read/],
    [
      'labels that are not there',
      () => writeModel('1', deep, { labels: { h2: 'labels.txt' } }),
      /labels.txt cannot be read/,
    ],
    [
      'labels outside the folder',
      () => writeModel('1', deep, { labels: { h2: '../../../../../etc/hostname' } }),
      /cannot be read/,
    ],
  ])('refuses %s', async (_, spoil, message) => {
    writeModel('1', deep);
    spoil();
    await expect(pushModel(folder, options())).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(message),
    });
  });

  it('reads weights beside the model, but follows no link out of the folder', async () => {
    const { graph, weights } = await splitModel(deepMatMul(512, 2));
    const bytes = weights && (await weightBytes(weights));
    writeModel('1', graph);
    const elsewhere = join(folder, 'elsewhere.bin');
    writeFileSync(elsewhere, bytes ?? '');
    symlinkSync(elsewhere, join(folder, '1', 'weights.bin'));
    await expect(pushModel(folder, options())).rejects.toThrow(/"weights.bin", which does not exist/);
    rmSync(join(folder, '1', 'weights.bin'));
    writeFileSync(join(folder, '1', 'weights.bin'), bytes ?? '');
    expect(await pushModel(folder, options())).toMatchObject({ status: 'created', uploadedBlobs: 4 });
  });

  it('throws unauthenticated with a wrong admin key', async () => {
    writeModel('1', deep);
    await expect(pushModel(folder, { ...options(), adminKey: 'ewa_wrong' })).rejects.toMatchObject({
      code: 'unauthenticated',
    });
  });
});
