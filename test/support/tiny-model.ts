/** Returns the manifest of a model without separate weights, which needs almost no memory. */
import { type Manifest, manifestSchemaId } from '../../src/repository/schema.ts';
import { digestOf } from '../../src/storage/digest.ts';
import { openTerms } from './terms.ts';

const engineBaseBytes = 256 * 65_536;

export type TinyModel = Pick<Manifest, 'name' | 'inputs' | 'outputs'> & Partial<Manifest>;

export async function tinyManifest(graph: Uint8Array<ArrayBuffer>, model: TinyModel): Promise<Manifest> {
  const digest = await digestOf(graph);
  return {
    schema: manifestSchemaId,
    version: '1',
    createdAt: '2026-01-01T00:00:00.000Z',
    description: 'made for a test',
    platform: 'onnx_onnxv1',
    terms: openTerms,
    tier: 'auto',
    // As a publisher claims. Models that are made to fail in a run are not bounded, and are served all the same.
    bounded: true,
    maxBatchSize: 0,
    labels: {},
    graph: { digest, byteLength: graph.byteLength },
    sourceDigest: digest,
    inputsDigest: digest,
    opsets: { 'ai.onnx': 21 },
    edgeProfile: {
      engine: 'test',
      memoryCapBytes: 96 * 1024 * 1024,
      sessionBytes: 65_536,
      peakBytes: engineBaseBytes + 65_536,
      createMs: 1,
      runs: [{ batchSize: 1, inputElements: 1, microseconds: 1 }],
    },
    ...model,
  };
}
