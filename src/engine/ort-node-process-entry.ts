/** What `ort-node-process.ts` starts; its options are the one argument. */
import { serveEngine } from './ort-node-process-main.ts';

await serveEngine(JSON.parse(process.argv[2] ?? '{}'));
