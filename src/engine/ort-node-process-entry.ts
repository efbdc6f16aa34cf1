/** Entry of the process that `ort-node-process.ts` starts. The only argument is the engine's options as JSON. */
import { serveEngine } from './ort-node-process-main.ts';

await serveEngine(JSON.parse(process.argv[2] ?? '{}'));
