/**
 * `npm run test:api`: the description of the API against a running worker. Redocly lints it, clients that are generated from
 * it are compiled and used, and schemathesis compares every operation with it, without a key and with the admin key.
 */
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { DevServer } from '../../scripts/dev-server.ts';
import { modelsDirectory } from '../../scripts/fetch-models.ts';
import { runOrThrow, runProgram } from '../../scripts/python-environment.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { startService } from '../support/dev-service.ts';
import { runPytest } from '../support/pytest.ts';
import { addCounts } from '../support/test-counts.ts';
import { apiNodeModules, apiPython } from './tools.ts';

const here = import.meta.dirname;
const [python, modules] = await Promise.all([apiPython(), apiNodeModules()]);
const scratch = mkdtempSync(join(tmpdir(), 'edgewise-api-'));
const server = await startService();
try {
  await pushModel(join(modelsDirectory, 'mlp'), { ...server, aliases: ['stable'] });
  const description = join(scratch, 'openapi.json');
  writeFileSync(description, await (await fetch(`${server.url}/openapi.json`)).text());
  await lint(description);
  await useTypeScriptClient(description, server);
  await usePythonClient(description, server);
  for (const key of [undefined, server.adminKey]) await compareWithService(server.url, key);
} finally {
  await server.stop();
  rmSync(scratch, { recursive: true, force: true });
}

async function lint(description: string): Promise<void> {
  const config = join(here, 'redocly.yaml');
  await runOrThrow(process.execPath, [
    join(modules, '@redocly/cli/bin/cli.js'),
    ...['lint', description, '--config', config, '--format', 'stylish'],
  ]);
  addCounts({ passed: 1, failed: 0, skipped: 0 });
}

async function useTypeScriptClient(description: string, { url, adminKey }: DevServer): Promise<void> {
  const folder = join(scratch, 'typescript');
  cpSync(join(here, 'typescript'), folder, { recursive: true });
  symlinkSync(modules, join(folder, 'node_modules'));
  await runOrThrow(process.execPath, [
    join(modules, 'openapi-typescript/bin/cli.js'),
    ...[description, '--output', join(folder, 'api.d.ts')],
  ]);
  await runOrThrow(process.execPath, [join(modules, 'typescript/bin/tsc'), '--project', folder]);
  await runOrThrow(process.execPath, [join(folder, 'main.ts'), url, adminKey]);
  addCounts({ passed: 1, failed: 0, skipped: 0 });
}

async function usePythonClient(description: string, { url, adminKey }: DevServer): Promise<void> {
  const folder = join(scratch, 'python');
  await runOrThrow(python, [
    ...['-m', 'openapi_python_client', 'generate', '--fail-on-warning', '--meta', 'none'],
    ...['--config', join(here, 'openapi-python-client.yaml'), '--path', description],
    ...['--output-path', join(folder, 'edgewise_client')],
  ]);
  const code = await runPytest(python, here, process.argv.slice(2), {
    EDGEWISE_URL: url,
    EDGEWISE_ADMIN_KEY: adminKey,
    PYTHONPATH: [folder, ...(process.env['PYTHONPATH'] ? [process.env['PYTHONPATH']] : [])].join(delimiter),
  });
  if (code !== 0) throw new Error(`the Python client's tests ended with ${code}`);
}

/** @param key The key that every request has; undefined: none. */
async function compareWithService(url: string, key: string | undefined): Promise<void> {
  const code = await runProgram(python, [
    ...['-m', 'schemathesis.cli', '--config-file', join(here, 'schemathesis.toml')],
    ...['run', `${url}/openapi.json`, '--no-color'],
    ...(key === undefined ? [] : ['--header', `Authorization: Bearer ${key}`]),
  ]);
  if (code !== 0)
    throw new Error(
      `schemathesis ended with ${code} ${key === undefined ? 'without a key' : 'with the admin key'}`,
    );
  addCounts({ passed: 1, failed: 0, skipped: 0 });
}
