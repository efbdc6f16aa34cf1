/** `npm start`: the worker on http://localhost:8787 with the sample models published, from nothing but Node and npm. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type DevServer, root, startDevServer } from './dev-server.ts';
import { publishSamples } from './publish-samples.ts';

for (const script of ['scripts/build-ort.ts', 'scripts/fetch-models.ts']) {
  const { status } = spawnSync(process.execPath, [join(root, script)], { stdio: 'inherit', cwd: root });
  if (status !== 0) {
    process.exit(status ?? 1);
  }
}

const port = Number(process.env['PORT'] ?? 8787);
console.log(`Starting the worker on http://localhost:${port} …`);
// Where the local buckets live; absent: .wrangler/state.
const persistTo = process.env['EDGEWISE_STATE'];
let server: DevServer | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // While it starts there is no server to stop yet: the exit takes along what was begun.
  process.once(signal, () => void Promise.resolve(server?.stop()).then(() => process.exit(0)));
}
server = await startDevServer({
  port,
  ...(persistTo === undefined ? {} : { persistTo }),
  onOutput: (text) => process.stderr.write(text),
});

await publishSamples(server);

console.log(`
Edgewise is ready: http://localhost:${port} (API reference: http://localhost:${port}/docs)
Try:

  curl http://localhost:${port}/v2/models/mlp/infer -d '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,10],"data":[1,2,3,4,5,6,7,8,9,10]}]}'

Ctrl-C stops it.`);
