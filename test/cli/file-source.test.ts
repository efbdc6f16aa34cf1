import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { open, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { fileSource, fileWithin } from '../../src/cli/transfer/file-source.ts';
import { readModelFolder } from '../../src/cli/transfer/source.ts';
import { encodeModel } from '../../src/repository/onnx/proto.ts';
import { readSource } from '../../src/repository/publish/source.ts';
import { matMul } from '../repository/onnx/models.ts';
import { licenceFile, licenceText, openSourceTerms } from '../support/terms.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'edgewise-file-'));
  return () => rmSync(folder, { recursive: true });
});

describe('fileSource()', () => {
  it('reads past the second gibibyte', async () => {
    const path = join(folder, 'large.bin');
    const byteLength = 2.4 * 2 ** 30;
    const file = await open(path, 'w');
    await file.write(Uint8Array.of(1, 2, 3, 4), 0, 4, Math.floor(byteLength) - 4);
    await file.close();
    const source = fileSource(path);
    expect(source.byteLength).toBe(Math.floor(byteLength));
    expect([...(await source.read(source.byteLength - 6, source.byteLength))]).toEqual([0, 0, 1, 2, 3, 4]);
    await expect(source.read(0, source.byteLength + 1)).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('computes the digest of the whole file, piece by piece', async () => {
    const bytes = Buffer.alloc(9_000_000, 'edgewise');
    writeFileSync(join(folder, 'a.bin'), bytes);
    const digest = createHash('sha256').update(bytes).digest('hex');
    expect(await fileSource(join(folder, 'a.bin')).digest()).toBe(`sha256:${digest}`);
  });

  it('throws if the file changed while it was read', async () => {
    const path = join(folder, 'a.bin');
    writeFileSync(path, Buffer.alloc(100));
    const source = fileSource(path);
    await truncate(path, 50);
    await expect(source.read(40, 60)).rejects.toThrow(/had 100 bytes and now ends at 50/);
  });

  it('throws for a folder', () => {
    expect(() => fileSource(folder)).toThrow(/is not a file/);
  });
});

describe('fileWithin()', () => {
  it('returns files of the folder, and none outside that a path or a link leads to', () => {
    mkdirSync(join(folder, 'in'));
    writeFileSync(join(folder, 'in', 'a.bin'), 'abc');
    writeFileSync(join(folder, 'b.bin'), 'secret');
    symlinkSync(join(folder, 'b.bin'), join(folder, 'in', 'link.bin'));
    expect(fileWithin(join(folder, 'in'), 'a.bin')?.byteLength).toBe(3);
    for (const outside of ['../b.bin', 'link.bin', 'none.bin', '.']) {
      expect(fileWithin(join(folder, 'in'), outside)).toBeUndefined();
    }
  });
});

describe('readModelFolder()', () => {
  it('reads the samples in the order of their names, as part of the version', async () => {
    mkdirSync(join(folder, '1'));
    mkdirSync(join(folder, 'samples'));
    writeFileSync(join(folder, '1', 'model.onnx'), encodeModel(matMul(2, 2)));
    const config = { name: 'm', description: 'd', terms: openSourceTerms };
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    writeFileSync(join(folder, licenceFile), licenceText);
    const digest = async () => (await readSource(await readModelFolder(folder), {})).inputsDigest;
    const without = await digest();
    for (const name of ['b.json', 'a.json', 'notes.txt']) writeFileSync(join(folder, 'samples', name), '{}');
    const { samples } = await readModelFolder(folder);
    expect(samples?.map(({ name }) => name)).toEqual(['a.json', 'b.json']);
    expect(await digest()).not.toBe(without);
    symlinkSync('/etc/hostname', join(folder, 'samples', 'c.json'));
    await expect(readModelFolder(folder)).rejects.toThrow(/c\.json cannot be read, or links/);
  });

  it('lets engines read the folder, unless model.onnx links to another folder', async () => {
    mkdirSync(join(folder, '1'));
    const config = { name: 'm', description: 'd', terms: openSourceTerms };
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    writeFileSync(join(folder, licenceFile), licenceText);
    writeFileSync(join(folder, 'elsewhere.onnx'), encodeModel(matMul(2, 2)));
    symlinkSync(join(folder, 'elsewhere.onnx'), join(folder, '1', 'model.onnx'));
    expect((await readModelFolder(folder)).folder).toBeUndefined();
    rmSync(join(folder, '1', 'model.onnx'));
    writeFileSync(join(folder, '1', 'model.onnx'), encodeModel(matMul(2, 2)));
    expect((await readModelFolder(folder)).folder).toBe(realpathSync(join(folder, '1')));
  });
});
