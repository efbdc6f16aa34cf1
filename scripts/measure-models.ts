/**
 * Measures the sample models on this machine (one thread, batch 1) and prints a table for their cards: file size, time to
 * create a session, time of a run, WebAssembly memory. Times are the fastest of several, to exclude other work of the machine.
 *
 *   npm run models:measure [-- digits ocr-detect]
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createOrtNodeEngine } from '../src/engine/ort-node.ts';
import { createOrtWasmEngine } from '../src/engine/ort-wasm.ts';
import { loadNodeBuild } from '../src/engine/ort-wasm-node.ts';
import type { Engine, Feeds } from '../src/engine/types.ts';
import type { ModelConfig } from '../src/repository/config-schema.ts';
import { typedArrays } from '../src/tensor/datatype.ts';
import { elementCount } from '../src/tensor/shape.ts';
import type { FixedTensor, TensorSpec } from '../src/tensor/tensor.ts';
import { fetchModels, modelsDirectory, readSampleModels } from './fetch-models.ts';

const rounds = 5;
const roundMs = 1000;

/** Returns a tensor of the config's sample shape (free dimensions default to 1), filled with its sample value or 0.1. */
function makeSampleFeed({ name, datatype, shape }: TensorSpec, config: ModelConfig): FixedTensor {
  if (datatype === 'BYTES') throw new Error(`input "${name}" is BYTES, which this script cannot generate`);
  const full = config.sampleShapes[name] ?? shape.map((dimension) => Math.max(dimension, 1));
  const value = config.sampleValues[name] ?? 0.1;
  const data = new typedArrays[datatype](elementCount(full));
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) data.fill(BigInt(Math.trunc(value)));
  else data.fill(value);
  return { datatype, shape: full, data } as FixedTensor;
}

async function measure(engine: Engine, graph: Uint8Array, config: ModelConfig) {
  let createMs = Number.POSITIVE_INFINITY;
  let runMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    const session = await engine.createSession({ graph });
    createMs = Math.min(createMs, performance.now() - began);
    const feeds: Feeds = new Map(session.inputs.map((spec) => [spec.name, makeSampleFeed(spec, config)]));
    for (const start = performance.now(); performance.now() - start < roundMs; ) {
      const before = performance.now();
      await session.run(feeds);
      runMs = Math.min(runMs, performance.now() - before);
    }
    await session.release();
  }
  return { createMs, runMs, memoryBytes: engine.memory().usedBytes };
}

await fetchModels();
const chosen = new Set(process.argv.slice(2));
const wasmBuild = await loadNodeBuild('plain');
console.log('| model | file | native: create, run | WASM: create, run | WASM memory |');
console.log('| --- | --- | --- | --- | --- |');
for (const config of await readSampleModels()) {
  if (chosen.size > 0 && !chosen.has(config.name)) continue;
  const graph = await readFile(join(modelsDirectory, config.name, '1', 'model.onnx'));
  const native = await measure(createOrtNodeEngine({ threads: 1 }), graph, config);
  // The first session of a WASM engine also starts the runtime, so another model is loaded first.
  const engine = createOrtWasmEngine({ build: wasmBuild });
  const starter = await readFile(join(modelsDirectory, 'mlp', '1', 'model.onnx'));
  await (await engine.createSession({ graph: starter })).release();
  const wasm = await measure(engine, graph, config);
  const cell = ({ createMs, runMs }: typeof wasm) => `${createMs.toFixed(1)} ms, ${runMs.toPrecision(3)} ms`;
  const megabytes = (bytes: number) => `${(bytes / 1e6).toPrecision(3)} MB`;
  console.log(
    `| ${config.name} | ${graph.byteLength} B | ${cell(native)} | ${cell(wasm)} | ${megabytes(wasm.memoryBytes)} |`,
  );
}
