/** A process that ends with 7 while a run is under way in the engine's thread. Its argument: milliseconds that it waits for that. */
import { setImmediate } from 'node:timers/promises';
import { createOrtNodeThreadEngine } from '../../src/engine/ort-node-thread.ts';
import { inlineModel } from './onnx-models.ts';
import { fp32 } from './run.ts';

const [rows, width] = [2000, 256];
const engine = createOrtNodeThreadEngine({}, { exitPatienceMs: Number(process.argv[2]) });
const session = await engine.createSession(inlineModel({ layers: 40, width }));
const feeds = new Map([['x', fp32([rows, width], new Float32Array(rows * width))]]);
await session.run(feeds);
// The second is at work soon after the answer to the first; the others must not begin.
const runs = Array.from({ length: 100 }, () => session.run(feeds));
await runs[0];
for (let turn = 0; turn < 1000; turn++) await setImmediate();
process.exit(7);
