/**
 * `npm start`: runs the worker on http://localhost:8787 with the sample models, and an origin beside it for models that do
 * not fit the edge. Needs only Node and npm.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type DevServer, ensureLocalAdminKey, root, startDevServer } from './dev-server.ts';
import { keepRunning } from './keep-running.ts';
import { checkListeningPort } from './listening-port.ts';
import { generateCallerKey, type OriginServer, startOrigin } from './origin-server.ts';
import { publishSamples } from './publish-samples.ts';
import { assignStartVariables, type StartVariables } from './start-variables.ts';
import { stopOnSignal } from './stop-on-signal.ts';

let worker: DevServer | undefined;
let origin: { stop(): Promise<void> } | undefined;
let stopping = false;

const port = await checkListeningPort(process.env['PORT']).catch(fail);
const given = await readVariables().catch(fail);
for (const warning of given.warnings) console.error(`npm start: ${warning}`);

for (const script of ['scripts/build-ort.ts', 'scripts/fetch-models.ts']) {
  const { status } = spawnSync(process.execPath, [join(root, script)], { stdio: 'inherit', cwd: root });
  if (status !== 0) {
    process.exit(status ?? 1);
  }
}

// Folder of the local buckets and the origin's cache; absent: .wrangler/state and .edgewise.
const state = process.env['EDGEWISE_STATE'];

/** Stops the worker first, because its last answers may need the origin. Servers that are still starting end with this process. */
async function stopAll(): Promise<void> {
  stopping = true;
  await worker?.drain();
  await Promise.all([worker?.stop(), origin?.stop()]);
}

stopOnSignal(stopAll);

const key = generateCallerKey();

function startOriginAt(originPort: number): Promise<OriginServer> {
  return startOrigin({
    port: originPort,
    key,
    upstream: { url: `http://127.0.0.1:${port}`, adminKey: ensureLocalAdminKey() },
    cacheDirectory: join(state ?? join(root, '.edgewise'), 'origin-cache'),
    vars: {
      EDGEWISE_EXECUTION_PROVIDERS: 'cpu',
      ...given.origin,
    },
    onOutput: (text) => {
      if (!text.includes('"event":"listening"')) process.stderr.write(text);
    },
  });
}

async function startWorker(originUrl: string): Promise<DevServer> {
  return startDevServer({
    port,
    ...(state === undefined ? {} : { persistTo: state }),
    ...(given.country === undefined ? {} : { country: given.country }),
    vars: {
      ...given.worker,
      EDGEWISE_ORIGIN_POOL: JSON.stringify([
        {
          name: 'local',
          url: originUrl,
          auth: { bearerSecret: 'EDGEWISE_LOCAL_ORIGIN_KEY' },
          // It runs where the worker runs.
          jurisdiction: given.worker['EDGEWISE_JURISDICTION'],
        },
      ]),
    },
    secrets: { ...given.workerSecrets, EDGEWISE_LOCAL_ORIGIN_KEY: key },
    onOutput: (text) => process.stderr.write(text),
  });
}

console.log(`Starting the worker on http://localhost:${port}, and an origin beside it …`);
const first = await startOriginAt(0).catch(fail);
origin = keepRunning({
  name: 'The origin',
  meanwhile: 'models that do not fit the edge are answered with 503',
  first,
  start: () => startOriginAt(Number(new URL(first.url).port)),
  say: console.error,
});
worker = await startWorker(first.url).catch(fail);
void worker.untilDead().then((why) => {
  if (!stopping) void fail(new Error(`the worker has died: ${why}`));
});
await publishSamples(worker).catch(fail);

console.log(`
Edgewise is ready: http://localhost:${port} (API reference: http://localhost:${port}/docs)
Models that do not fit the edge run on the origin beside it, ${first.url}, which only the worker may call.
Try:

  curl http://localhost:${port}/v2/models/mlp/infer -d '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,10],"data":[1,2,3,4,5,6,7,8,9,10]}]}'

Ctrl-C stops both.`);

/** Async, so that its errors reach `fail` like all others. */
async function readVariables(): Promise<StartVariables> {
  return assignStartVariables(process.env);
}

/** Prints the reason, stops the servers and exits with 1. Does nothing if this process is being stopped. */
async function fail(error: unknown): Promise<never> {
  if (stopping) return new Promise(() => undefined);
  console.error(`npm start: ${error instanceof Error ? error.message : String(error)}`);
  stopping = true;
  await Promise.all([worker?.stop(), origin?.stop()]);
  process.exit(1);
}
