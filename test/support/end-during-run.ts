/**
 * A process that prints the id of its engine's process and ends during a run there: with exit code 7, or killed if its
 * argument asks for it.
 */
import { createOrtNodeProcessEngine } from '../../src/engine/ort-node-process.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { loopModel } from './onnx-models.ts';
import { fp32 } from './run.ts';

const engine = createOrtNodeProcessEngine();
const session = await engine.createSession(loopModel());
const endless = new Map<string, Tensor>([
  ['n', { datatype: 'INT64', shape: [], data: BigInt64Array.of(10_000_000_000_000n) }],
  ['x', fp32([1], new Float32Array(1))],
]);
session.run(endless).catch(() => undefined);
// The run has begun in the engine's process by then.
setTimeout(() => {
  if (process.argv[2] === 'killed') process.kill(process.pid, 'SIGKILL');
  process.exit(7);
}, 500);
