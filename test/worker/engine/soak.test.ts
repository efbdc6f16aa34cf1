import { expect, it } from 'vitest';
import digits from '../../../models/digits/1/model.onnx?url&inline';
import mlp from '../../../models/mlp/1/model.onnx?url&inline';
import angle from '../../../models/ocr-angle/1/model.onnx?url&inline';
import detect from '../../../models/ocr-detect/1/model.onnx?url&inline';
import speech from '../../../models/speech-detect/1/model.onnx?url&inline';
import { createOrtWasmEngine } from '../../../src/engine/ort-wasm.ts';
import { workerdBuild } from '../../../src/engine/ort-wasm-workerd.ts';
import { slackBytes, soak } from '../../engine/session-pool-soak.ts';

const addresses = { mlp, digits, 'ocr-angle': angle, 'ocr-detect': detect, 'speech-detect': speech };
const { VITE_SOAK_CYCLES } = import.meta.env;
const cycles = Number(VITE_SOAK_CYCLES ?? 40);

it(`SessionPool keeps its heap size and answers over ${cycles} cycles of five models in workerd`, {
  timeout: 60_000 + cycles * 500,
}, async () => {
  const files = Object.fromEntries(
    await Promise.all(
      Object.entries(addresses).map(async ([name, address]) => {
        const response = await fetch(address);
        return [name, new Uint8Array(await response.arrayBuffer())] as const;
      }),
    ),
  );
  const figures = await soak(createOrtWasmEngine({ build: workerdBuild }), files, cycles);
  console.info(JSON.stringify({ cycles, ...figures }));
  expect(figures.endBytes).toBeLessThanOrEqual(figures.warmBytes + slackBytes);
  expect(figures.loads).toBeGreaterThanOrEqual(cycles);
});
