/**
 * `npm run test:servers [-- <pytest arguments>]`: tests a worker whose origin pool consists of third-party servers, which
 * this script starts with models published to the worker, with third-party clients.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePort, root } from '../../scripts/dev-server.ts';
import { fetchLargeModel } from '../../scripts/fetch-large-model.ts';
import { fetchModels, modelsDirectory } from '../../scripts/fetch-models.ts';
import { pullModel } from '../../src/cli/transfer/pull.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { pullForTriton } from '../../src/cli/transfer/triton.ts';
import { tritonName } from '../../src/cli/transfer/triton-config.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { interopPython } from '../interop/python.ts';
import { startService } from '../support/dev-service.ts';
import { runPytest } from '../support/pytest.ts';
import { type RunningServer, type ServerOptions, startServer } from './child.ts';
import { copyToFolder, writeModels } from './models.ts';
import { mlserver, ray, type ServerName, serverPython, triton } from './servers.ts';

const servers: readonly ServerName[] = ['triton', 'mlserver', 'ray'];
const large = 'minilm-l6';
const began = performance.now();

function step(text: string): void {
  console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${text}`);
}

const [python, [tritonPython, mlserverPython, rayPython], largeFolder] = await Promise.all([
  interopPython(),
  Promise.all([serverPython('triton'), serverPython('mlserver'), serverPython('ray')]),
  fetchLargeModel(),
]);
await fetchModels();
step('the servers and the large model are installed');

const ports = {
  triton: await findFreePort(),
  mlserver: await findFreePort(),
  ray: await findFreePort(),
  dead: await findFreePort(),
};
const scratch = mkdtempSync(join(tmpdir(), 'edgewise-servers-'));
const folders = Object.fromEntries(
  ['sources', 'triton', 'triton-repository', 'mlserver', 'ray'].map((name) => [name, join(scratch, name)]),
);
for (const folder of Object.values(folders)) {
  mkdirSync(folder);
}
const models = writeModels(folders['sources'] ?? scratch, servers);
const namesOf = (...prefixes: readonly string[]) =>
  models.map(({ name }) => name).filter((name) => prefixes.some((prefix) => name.startsWith(`${prefix}/`)));
/** Triton and MLServer do not allow slashes in model names. */
const flat = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, tritonName(name)]));

const pool = [
  {
    name: 'triton',
    url: `http://127.0.0.1:${ports.triton}`,
    models: ['triton/*', 'pool/*', large],
    modelNames: flat(namesOf('triton', 'pool')),
  },
  {
    name: 'mlserver',
    url: `http://127.0.0.1:${ports.mlserver}`,
    models: ['mlserver/*', 'pool/*'],
    modelNames: flat(namesOf('mlserver', 'pool')),
  },
  {
    name: 'ray',
    url: `http://127.0.0.1:${ports.ray}`,
    models: ['ray/*', 'pool/*', large],
    auth: { bearerSecret: 'RAY_KEY' },
  },
  { name: 'dead', url: `http://127.0.0.1:${ports.dead}`, models: ['dead/*', 'pool/*'] },
];
const mark = randomUUID();
const rayKey = randomUUID();
const stops: (() => Promise<void>)[] = [];
try {
  const worker = await startService({
    vars: { EDGEWISE_ORIGIN_POOL: JSON.stringify(pool), RAY_KEY: rayKey },
  });
  stops.push(worker.stop);
  step(`the worker is at ${worker.url}`);
  const publish = (folder: string) => pushModel(folder, { ...worker, aliases: ['stable'], originOnly: true });
  for (const { folder } of models) {
    await publish(folder);
  }
  step(`${models.length} models are published`);
  const { uploadedBytes, uploadedBlobs } = await publish(largeFolder);
  step(`${large} is published: ${uploadedBytes} bytes in ${uploadedBlobs} blobs`);

  const client = createAdminClient({ url: worker.url, key: worker.adminKey });
  for (const name of [...namesOf('triton', 'pool'), large]) {
    await pullForTriton(client, name, 'stable', folders['triton-repository'] ?? scratch);
  }
  for (const name of namesOf('mlserver', 'pool')) {
    await pullModel(client, name, 'stable', { out: join(folders['mlserver'] ?? scratch, tritonName(name)) });
  }
  const store = join(scratch, 'store');
  await copyToFolder(client, 'ray/digits', store);
  step('the models are laid out for Triton and MLServer');

  const running: RunningServer[] = [];
  const start = async (options: ServerOptions): Promise<RunningServer> => {
    const server = await startServer(options);
    running.push(server);
    stops.push(server.stop);
    step(`${options.name} is ready`);
    return server;
  };
  const tritonServer = await start(
    await triton(
      tritonPython,
      folders['triton-repository'] ?? scratch,
      folders['triton'] ?? scratch,
      ports.triton,
    ),
  );
  await start(await mlserver(mlserverPython, folders['mlserver'] ?? scratch, ports.mlserver));
  // Ray starts last: a cluster whose processes wait for a core considers some of them dead.
  await start(
    await ray({
      python: rayPython,
      repository: worker,
      scratch: folders['ray'] ?? scratch,
      port: ports.ray,
      mark,
      key: rayKey,
    }),
  );

  process.exitCode = await runPytest(python, import.meta.dirname, process.argv.slice(2), {
    EDGEWISE_URL: worker.url,
    EDGEWISE_ADMIN_KEY: worker.adminKey,
    EDGEWISE_MODELS: modelsDirectory,
    EDGEWISE_FIXTURES: join(root, 'test', 'fixtures'),
    EDGEWISE_LARGE_MODEL: largeFolder,
    EDGEWISE_SERVERS: JSON.stringify(Object.fromEntries(pool.map(({ name, url }) => [name, url]))),
    EDGEWISE_TRITON_PID: String(tritonServer.pid),
    EDGEWISE_TEST_MARK: mark,
    EDGEWISE_RAY_KEY: rayKey,
    EDGEWISE_STORE: store,
  });
  if (process.exitCode !== 0) {
    for (const { name, output } of running) {
      console.log(`\n== ${name}\n${output().slice(-6000)}`);
    }
  }
  step('the tests have run');
} finally {
  await Promise.all(stops.reverse().map((stop) => stop()));
  rmSync(scratch, { recursive: true, force: true });
}
