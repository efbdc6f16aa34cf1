import { beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../../src/engine/types.ts';
import { EdgewiseError } from '../../../src/errors.ts';
import { createPublishEngines } from '../../../src/platform/node-cli.ts';
import { modelConfigSchema } from '../../../src/repository/config-schema.ts';
import { inspectModel } from '../../../src/repository/onnx/inspect.ts';
import {
  attributeTypes,
  decodeModel,
  type ModelProto,
  tensorTypes,
} from '../../../src/repository/onnx/proto.ts';
import { joinModel, splitModel, weightBytes } from '../../../src/repository/onnx/split.ts';
import { buildPackage } from '../../../src/repository/publish/build.ts';
import { inputsDigestOf } from '../../../src/repository/publish/inputs-digest.ts';
import { readSource } from '../../../src/repository/publish/source.ts';
import type { PackageInput, PublishEngines } from '../../../src/repository/publish/types.ts';
import { manifestSchema } from '../../../src/repository/schema.ts';
import { digestOf } from '../../../src/storage/digest.ts';
import { bytesSource } from '../../support/bytes-source.ts';
import { openSourceTerms, openTerms } from '../../support/terms.ts';
import { deepMatMul, matMul, model, unknownOperator, value } from '../onnx/models.ts';
import { packageInput, replaceRuns } from './package-input.ts';

const mebibyte = 2 ** 20;

let engines: PublishEngines;
beforeAll(async () => {
  engines = await createPublishEngines();
});

const vad = 'node_modules/@ricky0123/vad-web/dist/silero_vad_v6.onnx';
const vadConfig = { sampleShapes: { input: [1, 576] }, sampleValues: { sr: 16_000 } };

/** Returns engines whose edge engine is changed. */
function withEdge(change: (engine: Engine, made: number) => Engine): PublishEngines {
  let made = 0;
  return {
    ...engines,
    edge: (capBytes) => {
      made += 1;
      return change(engines.edge(capBytes), made);
    },
  };
}

/** A product in bfloat16: the CPU's provider has no kernel for it. */
const bfloat16Product: ModelProto = model({
  node: [
    { opType: 'Cast', input: ['x'], output: ['b'], attribute: [castTo(tensorTypes.BFLOAT16)] },
    { opType: 'MatMul', input: ['b', 'b'], output: ['c'] },
    { opType: 'Cast', input: ['c'], output: ['y'], attribute: [castTo(tensorTypes.FLOAT)] },
  ],
  input: [value('x', ['n', 'n'])],
  output: [value('y', ['n', 'n'])],
});

function castTo(type: number) {
  return { name: 'to', type: attributeTypes.INT, i: BigInt(type) };
}

describe('a model that this machine cannot run', () => {
  it('is published for the origin untried, with the shapes of its graph, and never batched', async () => {
    const said: string[] = [];
    const { manifest, blobs } = await buildPackage(packageInput(bfloat16Product, { maxBatchSize: 4 }), {
      engines,
      originOnly: true,
      onProgress: (step, detail) => said.push(`${step}: ${detail}`),
    });
    expect(manifest).toMatchObject({
      tier: 'origin',
      untried: expect.stringMatching(/implementation for MatMul.*\(MatMul of BFLOAT16\)$/),
      rowWise: false,
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, -1] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, -1] }],
    });
    expect(manifest).not.toHaveProperty('edgeProfile');
    expect(manifestSchema.parse(manifest)).toEqual(manifest);
    expect(blobs).toHaveLength(2);
    expect(said).toContainEqual(
      expect.stringMatching(/^warning: not tried: this machine cannot run the model/),
    );
  });

  it('is refused for the edge, with the type of the kernel and advice', async () => {
    await expect(buildPackage(packageInput(bfloat16Product), { engines })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/The kernel is MatMul of BFLOAT16\. .*--origin/),
    });
  });

  it('is refused for the origin too if its file format is too new', async () => {
    const newer = { ...matMul(2, 2), irVersion: 99n };
    await expect(buildPackage(packageInput(newer), { engines, originOnly: true })).rejects.toThrow(
      /Unsupported model IR version: 99.*model\.ir_version = 10/,
    );
  });
});

describe('buildPackage()', () => {
  it('returns a manifest and exactly the blobs that it names', async () => {
    const input = packageInput(deepMatMul(512, 3), { maxBatchSize: 4, tier: 'edge' });
    const { manifest, blobs } = await buildPackage(input, { engines, createdAt: new Date(0) });
    expect(manifestSchema.parse(manifest)).toEqual(manifest);
    expect(manifest).not.toHaveProperty('random');
    expect(manifest).toMatchObject({
      name: 'test/model',
      version: '3',
      tier: 'edge',
      createdAt: '1970-01-01T00:00:00.000Z',
      inputs: [{ name: 'h0', datatype: 'FP32', shape: [-1, 512] }],
      outputs: [{ name: 'h3', datatype: 'FP32', shape: [-1, 512] }],
      sourceDigest: await input.model.digest(),
      opsets: { 'ai.onnx': 17 },
    });
    const { weights, graph, edgeProfile } = manifest;
    expect(weights?.chunks.map(({ byteLength }) => byteLength)).toEqual([mebibyte, mebibyte, mebibyte]);
    expect(blobs.map(({ digest }) => digest)).toEqual([
      graph.digest,
      ...(weights?.chunks ?? []).map(({ digest }) => digest),
      manifest.terms.licence.text,
    ]);
    for (const { digest, byteLength, read } of blobs) {
      const bytes = await read();
      expect(await digestOf(bytes)).toBe(digest);
      expect(bytes.byteLength).toBe(byteLength);
    }
    expect(edgeProfile?.runs.map(({ batchSize }) => batchSize)).toEqual([1, 2, 4]);
    expect(edgeProfile?.memoryCapBytes).toBe(96 * mebibyte);
    expect(edgeProfile?.sessionBytes).toBeGreaterThanOrEqual(3 * mebibyte);
    expect(edgeProfile?.peakBytes).toBeLessThan(40 * mebibyte);
  });

  it('publishes the speech model, which has weights in branches and accepts one value only', async () => {
    const { manifest, blobs } = await buildPackage(packageInput(vad, vadConfig), { engines });
    const [graph, ...chunks] = await Promise.all(blobs.map(({ read }) => read()));
    expect(graph?.byteLength).toBeLessThan(100_000);
    expect(manifest.edgeProfile?.runs).toHaveLength(1);
    const joined = joinModel(graph ?? new Uint8Array(0), Buffer.concat(chunks), manifest.weights?.path);
    const session = await engines.native.createSession({ graph: joined });
    expect(session.inputs.map(({ name }) => name)).toEqual(['input', 'state', 'sr']);
  });

  it('refuses an operator that no runtime has, by name', async () => {
    await expect(buildPackage(packageInput(unknownOperator()), { engines })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('the operator Frobnicate'),
    });
  });

  it('refuses an operator that only the edge lacks, by name, and publishes it for the origin', async () => {
    const lacking = withEdge((engine) => ({
      ...engine,
      memory: () => engine.memory(),
      createSession: async () => {
        throw new EdgewiseError(
          'invalid_request',
          'the model uses the operator Fancy, which this engine lacks',
          { cause: new Error('Fancy(1)') },
        );
      },
    }));
    const input = packageInput(matMul(4, 4));
    await expect(buildPackage(input, { engines: lacking })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/edge cannot serve test\/model: .*operator Fancy.*--origin/),
    });
    const { manifest } = await buildPackage(input, { engines: lacking, originOnly: true });
    expect(manifest).toMatchObject({ tier: 'origin' });
    expect(manifest.edgeProfile).toBeUndefined();
  });

  it('says how much more memory a model needs', async () => {
    const large = packageInput(deepMatMul(512, 16));
    const refusal = await buildPackage(large, { engines, memoryCapBytes: 24 * mebibyte }).catch(
      (error: unknown) => error,
    );
    expect(refusal).toMatchObject({ code: 'too_large' });
    const numbers =
      /needs ([\d.]+) MiB of memory to answer one request, ([\d.]+) MiB more than the edge has \(24.0 MiB\)/.exec(
        String(refusal),
      );
    const neededBytes = Math.ceil(Number(numbers?.[1])) * mebibyte;
    expect(Number(numbers?.[1]) - Number(numbers?.[2])).toBeCloseTo(24, 1);
    const roomy = await buildPackage(large, { engines, memoryCapBytes: neededBytes });
    expect(roomy.manifest.edgeProfile?.peakBytes).toBeGreaterThan(24 * mebibyte);
    const forOrigin = await buildPackage(large, { engines, memoryCapBytes: 24 * mebibyte, originOnly: true });
    expect(forOrigin.manifest.tier).toBe('origin');
  });

  it('falls back to plain ONNX if the fused form answers differently, and refuses if plain ONNX does too', async () => {
    const wrongUntil = (count: number) =>
      withEdge((engine, made) =>
        replaceRuns(engine, async (feeds, session) => {
          const fetches = await session.run(feeds);
          const wrong = new Map(
            [...fetches].map(([name, tensor]) => [
              name,
              { ...tensor, data: new Float32Array(tensor.data.length) },
            ]),
          );
          return made <= count ? (wrong as typeof fetches) : fetches;
        }),
      );
    const input = packageInput(matMul(4, 4));
    const steps: string[] = [];
    const { manifest } = await buildPackage(input, {
      engines: wrongUntil(1),
      onProgress: (step, detail) => steps.push(`${step}: ${detail}`),
    });
    expect(manifest.edgeProfile).toBeDefined();
    expect(steps.join('\n')).toMatch(/extended does not serve: .*output "y" differs.*\n.*\(basic\)/);
    await expect(buildPackage(input, { engines: wrongUntil(2) })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/answer is not the native one's: output "y" differs at element 0/),
    });
  });

  it('does not compare the answers of a model that draws random numbers', async () => {
    const dice = model({
      node: [{ opType: 'RandomUniformLike', input: ['x'], output: ['y'] }],
      input: [value('x', [50])],
      output: [value('y', [50])],
    });
    const { manifest } = await buildPackage(packageInput(dice), { engines });
    expect(manifest.edgeProfile).toBeDefined();
    expect(manifest.random).toBe(true);
  });

  it.each<[string, PackageInput, RegExp]>([
    [
      'bytes that are no model',
      { ...packageInput(matMul(2, 2)), model: bytesSource(Uint8Array.of(1, 2, 3)) },
      /cannot be parsed/,
    ],
    [
      'a model that no sample suits',
      packageInput(vad, { sampleShapes: { input: [1, 576] }, sampleValues: { sr: 3 } }),
      /sampleShapes.*sampleValues/,
    ],
    [
      'labels for no output',
      { ...packageInput(matMul(2, 2)), labels: { z: ['a'] } },
      /labels for "z"; expected an output of the graph: y/,
    ],
    [
      'too few labels',
      { ...packageInput(matMul(2, 2)), labels: { y: ['a'] } },
      /"y" has 2 classes .* 1 lines/,
    ],
    [
      'a batch of a fixed dimension',
      packageInput(unknownOperator(), { maxBatchSize: 4 }),
      /maxBatchSize is 4/,
    ],
    [
      'an input that is not a tensor',
      packageInput(model({ input: [{ name: 's', type: { sequenceType: {} } }], output: [value('y', [1])] })),
      /"s" is not a tensor/,
    ],
    [
      'an input of a type that the protocol lacks',
      packageInput(model({ input: [value('x', [1], tensorTypes.COMPLEX64)], output: [value('y', [1])] })),
      /COMPLEX64/,
    ],
  ])('refuses %s', async (_, input, message) => {
    await expect(buildPackage(input, { engines })).rejects.toThrow(message);
  });

  it('counts classes along the class axis of the measured shape', async () => {
    // As image classifiers end: [batch, 3, 1, 1], declared as if it were flat.
    const pooled = model({
      node: [{ opType: 'GlobalAveragePool', input: ['x'], output: ['y'] }],
      input: [value('x', ['n', 3, 2, 2])],
      output: [value('y', ['n', 7])],
    });
    const labelled = (...lines: string[]) => ({ ...packageInput(pooled), labels: { y: lines } });
    const { manifest, blobs } = await buildPackage(labelled('a', 'b', 'c'), { engines });
    const outputs = [{ name: 'y', datatype: 'FP32', shape: [-1, 3, 1, 1] }];
    expect(manifest.outputs).toEqual(outputs);
    const [graph] = blobs;
    expect(inspectModel(decodeModel((await graph?.read()) ?? new Uint8Array(0))).outputs).toEqual(outputs);
    await expect(buildPackage(labelled('a'), { engines })).rejects.toThrow(
      /"y" has 3 classes .*\[1,3,1,1\].* 1 lines/,
    );
  });

  it('publishes weights in files beside the model like weights in the model', async () => {
    const whole = packageInput(deepMatMul(64, 2));
    const { graph, weights } = await splitModel(deepMatMul(64, 2));
    const file = weights && bytesSource(await weightBytes(weights));
    const beside: PackageInput = {
      ...whole,
      model: bytesSource(graph),
      externalFile: async (location) => (location === 'weights.bin' ? file : undefined),
    };
    const [a, b] = [await buildPackage(whole, { engines }), await buildPackage(beside, { engines })];
    expect(b.manifest.graph).toEqual(a.manifest.graph);
    expect(b.manifest.weights).toEqual(a.manifest.weights);
    expect(b.manifest.inputsDigest).not.toBe(a.manifest.inputsDigest);
    const { externalFile: _, ...without } = beside;
    await expect(buildPackage(without, { engines })).rejects.toThrow(/"weights.bin", which does not exist/);
  });
});

describe('buildPackage() of a config that batches, or keeps its weights at the origin', () => {
  it('copies dynamicBatching into the manifest, and leaves out what the config leaves out', async () => {
    const dynamicBatching = { maxQueueDelayMicroseconds: 500, preferredBatchSizes: [2, 4] };
    const batching = packageInput(matMul(2, 2), { maxBatchSize: 4, dynamicBatching });
    expect((await buildPackage(batching, { engines })).manifest.dynamicBatching).toEqual(dynamicBatching);
    const plain = await buildPackage(packageInput(matMul(2, 2), { maxBatchSize: 4 }), { engines });
    expect(Object.keys(plain.manifest)).not.toContain('dynamicBatching');
    expect(Object.keys(plain.manifest)).not.toContain('edgePermitted');
  });

  it('publishes a model for the origin only if it may not be used at the edge', async () => {
    const { manifest } = await buildPackage(packageInput(matMul(2, 2), { edgePermitted: false }), {
      engines,
    });
    expect(manifest).toMatchObject({ tier: 'origin', edgePermitted: false });
    expect(manifest.edgeProfile).toBeUndefined();
  });
});

describe('readSource()', () => {
  const base = packageInput(matMul(2, 2), { maxBatchSize: 4 });
  const closedTerms = { ...openSourceTerms, anonymous: false };
  const digest = async (input: PackageInput, originOnly = false) =>
    (await readSource(input, { originOnly })).inputsDigest;

  it('returns equal digests for equal inputs, whatever the version policy', async () => {
    const policy = packageInput(matMul(2, 2), { maxBatchSize: 4, versionPolicy: { all: {} }, $schema: 'x' });
    expect(await digest(policy)).toBe(await digest(base));
  });

  it.each<[string, PackageInput, boolean]>([
    ['the model', packageInput(matMul(2, 3), { maxBatchSize: 4 }), false],
    ['the version', { ...base, version: '4' }, false],
    ['the terms', packageInput(matMul(2, 2), { maxBatchSize: 4, terms: closedTerms }), false],
    ['the licence text', { ...base, licenceText: new TextEncoder().encode('Another.') }, false],
    ['the labels', { ...base, labels: { y: ['a', 'b'] } }, false],
    ['the tier', base, true],
    ['batching', packageInput(matMul(2, 2), { maxBatchSize: 4, dynamicBatching: {} }), false],
  ])('returns another digest if %s differs', async (_, input, originOnly) => {
    expect(await digest(input, originOnly)).not.toBe(await digest(base));
  });

  it('returns different digests for edgePermitted false and for the tier "origin"', async () => {
    const kept = packageInput(matMul(2, 2), { maxBatchSize: 4, edgePermitted: false });
    expect(await digest(kept)).not.toBe(await digest(base, true));
  });

  it('returns the digest of the release before, whatever the name of the licence file', async () => {
    const terms = { ...openSourceTerms, licence: { ...openSourceTerms.licence, file: 'LICENCE.txt' } };
    const config = modelConfigSchema.parse({ name: 'm', description: 'd', terms, maxBatchSize: 4 });
    const inputs = {
      version: '3',
      config,
      terms: openTerms,
      labels: {},
      sourceDigests: [],
      originOnly: false,
    };
    expect(await inputsDigestOf(inputs)).toBe(
      'sha256:f01539496d6adbd9af9c9bc6a2462e0fc51d8b5941f0b81e09b5a75dceeda633',
    );
  });
});
