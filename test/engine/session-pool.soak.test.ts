import { expect, it } from 'vitest';
import { createOrtWasmEngine } from '../../src/engine/ort-wasm.ts';
import { loadNodeBuild } from '../../src/engine/ort-wasm-node.ts';
import { readModel } from '../support/native-run.ts';
import { slackBytes, soak, soakModels } from './session-pool-soak.ts';

const { EDGEWISE_SOAK_CYCLES } = process.env;
const cycles = Number(EDGEWISE_SOAK_CYCLES ?? 100);

it(`SessionPool keeps its heap size and answers over ${cycles} cycles of five models on ort-wasm`, {
  timeout: 20_000 + cycles * 1000,
}, async () => {
  const files = Object.fromEntries(
    await Promise.all(Object.keys(soakModels).map(async (name) => [name, await readModel(name)] as const)),
  );
  const startedAt = performance.now();
  const figures = await soak(createOrtWasmEngine({ build: await loadNodeBuild() }), files, cycles);
  console.info(JSON.stringify({ cycles, ...figures, seconds: (performance.now() - startedAt) / 1000 }));
  expect(figures.endBytes).toBeLessThanOrEqual(figures.warmBytes + slackBytes);
  expect(figures.loads).toBeGreaterThanOrEqual(cycles);
});
