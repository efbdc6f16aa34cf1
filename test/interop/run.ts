/**
 * `npm run test:interop [-- <pytest arguments>]`: tests third-party Python clients against a worker with models that are
 * published as a user would publish them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../../scripts/dev-server.ts';
import { fetchModels, modelsDirectory } from '../../scripts/fetch-models.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { startService } from '../support/dev-service.ts';
import { runPytest } from '../support/pytest.ts';
import { writeEchoModel, writeEchoModels } from './echo-models.ts';
import { interopPython } from './python.ts';
import { writeSigningKeys } from './signing-keys.ts';

const samples = ['mlp', 'digits', 'ocr-angle', 'speech-detect'];

const python = await interopPython();
await fetchModels();
const echoes = mkdtempSync(join(tmpdir(), 'edgewise-echo-'));
const keys = mkdtempSync(join(tmpdir(), 'edgewise-keys-'));
const { publishers, trustedPublishers } = await writeSigningKeys(keys);
const server = await startService({ vars: { EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers } });
try {
  const folders = [...samples.map((name) => join(modelsDirectory, name)), ...writeEchoModels(echoes)];
  for (const folder of folders) {
    const { name } = await pushModel(folder, { ...server, aliases: ['stable'] });
    console.log(`published ${name}`);
  }
  for (const { name, privatePem } of publishers) {
    const folder = writeEchoModel(echoes, `signed/${name}`, 'FP32');
    await pushModel(folder, { ...server, publisherKey: privatePem, aliases: ['stable'] });
  }
  process.exitCode = await runPytest(python, import.meta.dirname, process.argv.slice(2), {
    EDGEWISE_URL: server.url,
    EDGEWISE_ADMIN_KEY: server.adminKey,
    EDGEWISE_MODELS: modelsDirectory,
    EDGEWISE_FIXTURES: join(root, 'test', 'fixtures'),
    EDGEWISE_PUBLISHER_KEYS: keys,
    EDGEWISE_COMMAND: JSON.stringify([process.execPath, join(root, 'bin', 'edgewise.js')]),
    EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
  });
} finally {
  await server.stop();
  for (const folder of [echoes, keys]) rmSync(folder, { recursive: true, force: true });
}
