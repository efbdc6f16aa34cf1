/**
 * Publishes a backend case's model like `edgewise model push`, without the steps that take a second per model: no
 * optimisation, no trial runs on generated inputs (the case has real ones), and an estimated edge profile.
 */
import type { AdminClient } from '../../src/client/admin-client.ts';
import type { Engine } from '../../src/engine/types.ts';
import { modelConfigSchema } from '../../src/repository/config-schema.ts';
import { encodeManifest } from '../../src/repository/documents.ts';
import { inspectModel, type Ranks } from '../../src/repository/onnx/inspect.ts';
import { splitModel } from '../../src/repository/onnx/split.ts';
import { defaultEdgeCapBytes } from '../../src/repository/publish/edge-form.ts';
import { readSource } from '../../src/repository/publish/source.ts';
import type { PackageBlob, PackageInput } from '../../src/repository/publish/types.ts';
import { digestWeights } from '../../src/repository/publish/weight-digests.ts';
import {
  type EdgeProfile,
  type Manifest,
  manifestSchema,
  manifestSchemaId,
} from '../../src/repository/schema.ts';
import type { PublisherSigningKey } from '../../src/repository/signing/bundle.ts';
import { signModel } from '../../src/repository/signing/model-signature.ts';
import { digestOf } from '../../src/storage/digest.ts';
import { bytesSource } from '../support/bytes-source.ts';
import { licenceBytes, openSourceTerms } from '../support/terms.ts';

const engineBaseBytes = 256 * 65_536;
/** Generous estimate of a small session's memory beside the model's own bytes. */
const roomBytes = 256 * 1024;

export interface PublishCaseOptions {
  readonly client: AdminClient;
  readonly signingKey: PublisherSigningKey;
  /** The worker's build of ONNX Runtime, which rejects models that the worker could not load. */
  readonly engine: Engine;
  /** Name in the repository. */
  readonly name: string;
  /** Ranks of inputs and outputs whose shape the graph leaves open; push learns them from a trial run. */
  readonly ranks: Ranks;
  /** Size of all inputs and outputs. */
  readonly tensorBytes: number;
}

/** @throws EdgewiseError as `edgewise model push` for a model that cannot be served. */
export async function publishCase(
  model: Uint8Array<ArrayBuffer>,
  { client, engine, signingKey, name, ranks, tensorBytes }: PublishCaseOptions,
): Promise<Manifest> {
  const input: PackageInput = {
    config: modelConfigSchema.parse({
      name,
      description: 'A backend case of the ONNX project',
      terms: { ...openSourceTerms, creator: { name: 'ONNX Project Contributors' } },
    }),
    version: '1',
    model: bytesSource(model),
    labels: {},
    licenceText: licenceBytes,
  };
  const source = await readSource(input, {});
  const { inputs, outputs, opsets } = inspectModel(source.model, ranks);
  await (await engine.createSession({ graph: model })).release();
  const { graph, weights } = await splitModel(source.model);
  const graphBlob = await blobOf(graph);
  const chunks = await Promise.all(
    (weights?.pieces ?? []).map(async ({ offset, read }) => ({ offset, ...(await blobOf(await read())) })),
  );
  const manifest = manifestSchema.parse({
    schema: manifestSchemaId,
    name,
    version: input.version,
    createdAt: new Date().toISOString(),
    description: input.config.description,
    platform: input.config.platform,
    terms: source.terms,
    tier: input.config.tier,
    maxBatchSize: 0,
    // The cost of a case is known, whatever its values.
    bounded: true,
    inputs,
    outputs,
    labels: {},
    graph: { digest: graphBlob.digest, byteLength: graph.byteLength },
    ...(weights && {
      weights: {
        path: weights.path,
        digest: (await digestWeights(weights)).whole,
        byteLength: weights.byteLength,
        chunks: chunks.map(({ offset, digest, byteLength }) => ({ digest, offset, byteLength })),
      },
    }),
    sourceDigest: source.sourceDigest,
    inputsDigest: source.inputsDigest,
    opsets,
    edgeProfile: estimate(graph.byteLength + (weights?.byteLength ?? 0), tensorBytes),
  });
  for (const { digest, read } of [graphBlob, ...chunks, await blobOf(licenceBytes)]) {
    await client.putBlob(digest, await read());
  }
  const { digest: manifestDigest } = await encodeManifest(manifest);
  await client.publishVersion(manifest, await signModel({ manifest, manifestDigest }, signingKey));
  return manifest;
}

function estimate(modelBytes: number, tensorBytes: number): EdgeProfile {
  const sessionBytes = modelBytes + roomBytes;
  return {
    engine: 'estimated',
    memoryCapBytes: defaultEdgeCapBytes,
    sessionBytes,
    peakBytes: engineBaseBytes + sessionBytes + 2 * tensorBytes,
    createMs: 1,
    runs: [{ batchSize: 1, inputElements: 1, microseconds: 1 }],
  };
}

async function blobOf(bytes: Uint8Array<ArrayBuffer>): Promise<PackageBlob> {
  return { digest: await digestOf(bytes), byteLength: bytes.byteLength, read: async () => bytes };
}
