import { describe, expect, it } from 'vitest';
import { createOrtNodeEngine, type OrtNodeOptions, probeGraph } from '../../src/engine/ort-node.ts';
import { encodeModel } from '../../src/repository/onnx/proto.ts';
import { identityModel, model, node, value } from '../support/onnx-models.ts';
import { engineContract, errorOf, feeds, fp32 } from './contract.ts';
import { onnxContractModels } from './onnx-contract-models.ts';

engineContract('ort-node', { models: onnxContractModels, create: async () => createOrtNodeEngine() });

const all = ['tensorrt', 'cuda', 'webgpu', 'dml', 'coreml'];

/** Creates an engine that prefers every provider to `cpu`; no machine has all of them. */
function engineWithAllProviders(options: OrtNodeOptions = {}) {
  const skipped = new Map<string, string>();
  const engine = createOrtNodeEngine({
    executionProviders: all,
    onProviderSkipped: (provider, { message }) => skipped.set(provider, message),
    ...options,
  });
  return { engine, skipped };
}

engineContract('ort-node with the providers of this machine', {
  models: onnxContractModels,
  create: async () => engineWithAllProviders().engine,
});

describe('createOrtNodeEngine()', () => {
  it('uses each provider or reports why it is skipped, and has cpu last', async () => {
    const { engine, skipped } = engineWithAllProviders();
    const usable = await engine.providers();
    expect(usable.at(-1)).toBe('cpu');
    expect([...skipped.keys(), ...usable.slice(0, -1)].toSorted()).toEqual(all.toSorted());
    for (const reason of skipped.values()) expect(reason).not.toBe('');
  });

  it('reports whether the build or a library is missing for a provider', async () => {
    const { engine, skipped } = engineWithAllProviders({ executionProviders: ['no-such', 'tensorrt'] });
    const usable = await engine.providers();
    expect(skipped.get('no-such')).toMatch(/^this build of ONNX Runtime lacks it; it has .*cpu/);
    const tensorrt = usable.includes('tensorrt') ? 'GPU' : skipped.get('tensorrt');
    expect(tensorrt).toMatch(/library|CUDA|GPU|lacks it/i);
  });

  it('probes nothing for cpu alone', async () => {
    const { engine, skipped } = engineWithAllProviders({ executionProviders: ['cpu'] });
    expect(await engine.providers()).toEqual(['cpu']);
    expect(skipped.size).toBe(0);
  });

  it('loads no model if cpu is excluded and no other provider is usable', async () => {
    const { engine } = engineWithAllProviders({ executionProviders: ['no-such'], cpuFallback: false });
    const error = await errorOf(engine.createSession(identityModel('FP32', ['n'])));
    expect(error.code).toBe('internal');
    expect(error.cause).toMatchObject({ message: expect.stringContaining('no-such: this build') });
  });

  it('counts the bytes of a model once after a fallback, and releases them', async () => {
    const { engine } = engineWithAllProviders();
    const source = identityModel('FP32', ['n']);
    const session = await engine.createSession(source);
    expect(engine.memory().usedBytes).toBe(source.graph.byteLength);
    await session.release();
    await session.release();
    expect(engine.memory().usedBytes).toBe(0);
  });

  it('holds no bytes of a model whose input is not a tensor', async () => {
    const elemType = { tensorType: { elemType: 1, shape: { dim: [] } } };
    const graph = model({
      node: [node('SequenceLength', ['x'], ['y'])],
      input: [{ name: 'x', type: { sequenceType: { elemType } } }],
      output: [value('y', 'INT64', [])],
    });
    const engine = createOrtNodeEngine();
    await expect(engine.createSession({ graph })).rejects.toMatchObject({ code: 'invalid_request' });
    expect(engine.memory().usedBytes).toBe(0);
  });

  it('probes providers with the graph that probeGraph documents', async () => {
    const added = encodeModel({
      irVersion: 8n,
      opsetImport: [{ domain: '', version: 13n }],
      graph: {
        name: 'g',
        node: [node('Add', ['x', 'x'], ['y'])],
        input: [value('x', 'FP32', ['n'])],
        output: [value('y', 'FP32', ['n'])],
      },
    });
    expect(Buffer.from(added).toString('base64')).toBe(probeGraph);
    const session = await createOrtNodeEngine().createSession({ graph: added });
    expect(await session.run(feeds({ x: fp32([2], [1.5, -2]) }))).toEqual(feeds({ y: fp32([2], [3, -4]) }));
    await session.release();
  });
});
