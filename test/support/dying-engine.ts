/** An engine process that exits when it runs an input whose first element is 666, or, with one thread, when it is asked for providers. */
import type { OrtNodeOptions } from '../../src/engine/ort-node.ts';
import { serveEngine } from '../../src/engine/ort-node-process-main.ts';

const options: OrtNodeOptions = JSON.parse(process.argv[2] ?? '{}');

await serveEngine(options, ({ header, payload }) => {
  if (header.operation === 'providers' && options.threads === 1) process.exit(3);
  if (header.operation === 'run' && new Float32Array(payload.buffer, 0, 1)[0] === 666) process.exit(3);
});
