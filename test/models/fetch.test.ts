import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fetchModels, makeCtcLabels, modelsDirectory, readSampleModels } from '../../scripts/fetch-models.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'models-'));
  for (const { name } of await readSampleModels()) {
    await cp(join(modelsDirectory, name, 'config.json'), join(directory, name, 'config.json'));
  }
});

afterEach(() => rm(directory, { recursive: true }));

describe('fetchModels', () => {
  it('writes every packaged model, and the second time none', async () => {
    const first = await fetchModels(directory);
    expect(first.map(({ path, written }) => [path.slice(directory.length), written])).toEqual([
      ['/ocr-angle/1/model.onnx', true],
      ['/ocr-detect/1/model.onnx', true],
      ['/ocr-recognise/1/model.onnx', true],
      ['/ocr-recognise/1/labels.txt', true],
      ['/speech-detect/1/model.onnx', true],
    ]);
    const second = await fetchModels(directory);
    expect(second).toEqual(first.map(({ path }) => ({ path, written: false })));
  });

  it('replaces a damaged file', async () => {
    const path = join(directory, 'ocr-angle', '1', 'model.onnx');
    await fetchModels(directory);
    const { size } = await stat(path);
    await writeFile(path, 'half a mod');
    const again = await fetchModels(directory);
    expect(again.filter(({ written }) => written)).toEqual([{ path, written: true }]);
    expect((await stat(path)).size).toBe(size);
    expect(await readdir(join(directory, 'ocr-angle', '1'))).toEqual(['model.onnx']);
  });

  it('refuses a package whose bytes do not have the digest in the config', async () => {
    await editConfig('ocr-angle', (text) => text.replace(/"sha256": "\w{4}/, '"sha256": "0000'));
    await expect(fetchModels(directory)).rejects.toMatchObject({ code: 'digest_mismatch' });
  });

  it('says which package is missing', async () => {
    await editConfig('speech-detect', (text) => text.replace('@ricky0123/vad-web', '@ricky0123/none'));
    await expect(fetchModels(directory)).rejects.toThrow(/"speech-detect".*@ricky0123\/none.*npm install/);
  });

  it('writes a label for each of the recogniser’s 6,625 classes', async () => {
    await fetchModels(directory);
    const labels = await readFile(join(directory, 'ocr-recognise', '1', 'labels.txt'), 'utf8');
    const lines = labels.replace(/\n$/, '').split('\n');
    expect(lines).toHaveLength(6625);
    expect([lines[0], lines[1], lines.at(-1)]).toEqual(['<blank>', "'", ' ']);
  });
});

describe('makeCtcLabels', () => {
  it('puts the blank first and the space last, whether the key file ends in a line break or not', () => {
    expect(makeCtcLabels('a\nb')).toBe('<blank>\na\nb\n \n');
    expect(makeCtcLabels('a\nb\n')).toBe('<blank>\na\nb\n \n');
  });
});

async function editConfig(model: string, edit: (text: string) => string): Promise<void> {
  const path = join(directory, model, 'config.json');
  await writeFile(path, edit(await readFile(path, 'utf8')));
}
