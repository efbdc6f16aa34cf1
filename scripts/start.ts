/**
 * `npm start`: the worker on http://localhost:8787 with the sample models published, and an origin beside it for what does
 * not fit the edge, from nothing but Node and npm.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { localAdminKey, root, startDevServer } from './dev-server.ts';
import { newKey, startOrigin } from './origin-server.ts';
import { publishSamples } from './publish-samples.ts';

for (const script of ['scripts/build-ort.ts', 'scripts/fetch-models.ts']) {
  const { status } = spawnSync(process.execPath, [join(root, script)], { stdio: 'inherit', cwd: root });
  if (status !== 0) {
    process.exit(status ?? 1);
  }
}

const port = Number(process.env['PORT'] ?? 8787);
// Where the local buckets live, and what the origin keeps; absent: .wrangler/state and .edgewise.
const state = process.env['EDGEWISE_STATE'];

// Which country callers are told to come from, for models whose terms look at that; absent: none.
const country = process.env['EDGEWISE_COUNTRY'];

const servers: { stop(): Promise<void> }[] = [];
let stopping = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    stopping = true;
    // What has begun to start is no server to stop yet: the exit takes it along.
    void Promise.all(servers.map((server) => server.stop())).then(() => process.exit(0));
  });
}

console.log(`Starting the worker on http://localhost:${port}, and an origin beside it …`);
const key = newKey();
const origin = await startOrigin({
  key,
  upstream: { url: `http://127.0.0.1:${port}`, adminKey: localAdminKey() },
  cacheDirectory: join(state ?? join(root, '.edgewise'), 'origin-cache'),
  vars: {
    EDGEWISE_EXECUTION_PROVIDERS: 'cpu',
    ...given('EXECUTION_PROVIDERS', 'THREADS', 'ORIGIN_MEMORY_MIB'),
  },
  onOutput: (text) => {
    if (!text.includes('"event":"listening"')) process.stderr.write(text);
  },
});
servers.push(origin);
void origin.ended.then((code) => {
  if (!stopping) {
    console.error(
      `The origin has ended ${code === null ? 'by a signal' : `with code ${code}`}: models that do not fit the edge are answered with 503. Start again to have it back.`,
    );
  }
});

const worker = await startDevServer({
  port,
  ...(state === undefined ? {} : { persistTo: state }),
  ...(country === undefined ? {} : { country }),
  vars: {
    EDGEWISE_ORIGIN_POOL: JSON.stringify([
      { name: 'local', url: origin.url, auth: { bearerSecret: 'EDGEWISE_LOCAL_ORIGIN_KEY' } },
    ]),
  },
  secrets: { EDGEWISE_LOCAL_ORIGIN_KEY: key },
  onOutput: (text) => process.stderr.write(text),
});
servers.push(worker);

await publishSamples(worker);

console.log(`
Edgewise is ready: http://localhost:${port} (API reference: http://localhost:${port}/docs)
Models that do not fit the edge run on the origin beside it, ${origin.url}, which only the worker may call.
Try:

  curl http://localhost:${port}/v2/models/mlp/infer -d '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,10],"data":[1,2,3,4,5,6,7,8,9,10]}]}'

Ctrl-C stops both.`);

/** Those of the origin's keys that this process was started with. */
function given(...names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[`EDGEWISE_${name}`];
      return value === undefined ? [] : [[`EDGEWISE_${name}`, value]];
    }),
  );
}
