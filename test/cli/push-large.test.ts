/** Models that are large, or whose size is not in their weights: pushed, published and pulled. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pullModel } from '../../src/cli/transfer/pull.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import type { Feeds } from '../../src/engine/types.ts';
import {
  attributeTypes,
  decodeModel,
  encodeModel,
  type ModelProto,
} from '../../src/repository/onnx/proto.ts';
import { openModelSource } from '../../src/repository/weights.ts';
import { floats, model, value } from '../repository/onnx/models.ts';
import { publisherKey } from '../support/publisher.ts';
import { licenceFile, licenceText, openSourceTerms } from '../support/terms.ts';
import { adminKey, startTestServer, type TestServer } from './server.ts';

let server: TestServer;
let folder: string;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'edgewise-large-'));
  return () => rmSync(folder, { recursive: true });
});

function writeModel(source: ModelProto, config: Record<string, unknown> = {}): void {
  mkdirSync(join(folder, '1'), { recursive: true });
  writeFileSync(join(folder, '1', 'model.onnx'), encodeModel(source));
  const required = { name: 'acme/large', description: 'd', terms: openSourceTerms };
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...required, ...config }));
  writeFileSync(join(folder, licenceFile), licenceText);
}

const push = (originOnly: boolean) =>
  pushModel(folder, { url: server.url, adminKey, publisherKey, originOnly });

/** `trees` trees of one decision each: 1 where x is above the middle, else 0; together as many as trees. */
function forest(trees: number): ModelProto {
  const count = 3 * trees;
  const encode = (text: string) => new TextEncoder().encode(text);
  const [branch, leaf] = [encode('BRANCH_LEQ'), encode('LEAF')];
  const ints = (name: string, length: number, at: (index: number) => number) => ({
    name,
    type: attributeTypes.INTS,
    ints: BigInt64Array.from({ length }, (_, index) => BigInt(at(index))),
  });
  const numbers = (name: string, length: number, at: (index: number) => number) => ({
    name,
    type: attributeTypes.FLOATS,
    floats: Float32Array.from({ length }, (_, index) => at(index)),
  });
  return model(
    {
      node: [
        {
          opType: 'TreeEnsembleRegressor',
          domain: 'ai.onnx.ml',
          input: ['x'],
          output: ['y'],
          attribute: [
            { name: 'n_targets', type: attributeTypes.INT, i: 1n },
            ints('nodes_treeids', count, (index) => Math.floor(index / 3)),
            ints('nodes_nodeids', count, (index) => index % 3),
            ints('nodes_featureids', count, () => 0),
            ints('nodes_truenodeids', count, (index) => (index % 3 === 0 ? 1 : 0)),
            ints('nodes_falsenodeids', count, (index) => (index % 3 === 0 ? 2 : 0)),
            ints('nodes_missing_value_tracks_true', count, () => 0),
            numbers('nodes_hitrates', count, () => 1),
            numbers('nodes_values', count, (index) => (index % 3 === 0 ? Math.floor(index / 3) / trees : 0)),
            {
              name: 'nodes_modes',
              type: attributeTypes.STRINGS,
              strings: Array.from({ length: count }, (_, index) => (index % 3 === 0 ? branch : leaf)),
            },
            ints('target_treeids', 2 * trees, (index) => Math.floor(index / 2)),
            ints('target_nodeids', 2 * trees, (index) => 1 + (index % 2)),
            ints('target_ids', 2 * trees, () => 0),
            numbers('target_weights', 2 * trees, (index) => index % 2),
          ],
        },
      ],
      input: [value('x', ['n', 1])],
      output: [value('y', ['n', 1])],
    },
    { opsetImport: [{ version: 17n }, { domain: 'ai.onnx.ml', version: 3n }] },
  );
}

describe('pushModel()', () => {
  it('publishes a forest whose nodes are more than four million numbers, in chunks', async () => {
    writeModel(forest(140_000));
    const { manifest, uploadedBlobs } = await push(true);
    expect(manifest.graph.byteLength).toBeGreaterThan(16 * 2 ** 20);
    expect(manifest.graph.chunks?.length).toBeGreaterThan(2);
    expect(uploadedBlobs).toBe((manifest.graph.chunks?.length ?? 0) + 1);

    const client = createAdminClient({ url: server.url, key: adminKey });
    const pulled = join(folder, 'pulled');
    await pullModel(client, 'acme/large', '1', { out: pulled });
    const { graph } = await openModelSource(manifest, server.service.services.blobs);
    expect(Buffer.compare(readFileSync(join(pulled, 'model.onnx')), graph)).toBe(0);
    const session = await createOrtNodeEngine().createSession({ graph });
    const feeds: Feeds = new Map([['x', { datatype: 'FP32', shape: [1, 1], data: Float32Array.of(0.5) }]]);
    expect(Number((await session.run(feeds)).get('y')?.data[0])).toBeCloseTo(70_000, -1);
    await session.release();

    expect(await push(true)).toMatchObject({ status: 'unchanged', uploadedBlobs: 0 });
    await client.removeModel('acme/large');
    const [chunk] = manifest.graph.chunks ?? [];
    expect(chunk && (await server.service.services.blobs.has(chunk.digest))).toBe(false);
  });

  it('publishes one initializer of 150 MiB for the origin', async () => {
    const size = 150 * 2 ** 18;
    writeModel(
      model({
        node: [{ opType: 'Gather', input: ['w', 'x'], output: ['y'] }],
        initializer: [floats('w', [size], (index) => index % 1000)],
        input: [value('x', ['n'], 7)],
        output: [value('y', ['n'])],
      }),
    );
    const { manifest } = await push(true);
    expect(manifest.weights?.byteLength).toBe(4 * size);
    expect(manifest.weights?.chunks).toHaveLength(19);
    const blobs = server.service.services.blobs;
    const last = await blobs.get(manifest.weights?.chunks.at(-1)?.digest ?? 'sha256:');
    expect(new Float32Array(last?.buffer ?? new ArrayBuffer(0)).at(-1)).toBe((size - 1) % 1000);
    const { graph } = await openModelSource(manifest, blobs);
    expect(decodeModel(graph).graph?.initializer?.[0]?.rawData).toBeUndefined();
  });
});
