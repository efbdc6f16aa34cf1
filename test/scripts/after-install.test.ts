/** Tests scripts/after-install.js on temporary folders. The script must run on the Node of npm. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';

const root = mkdtempSync(join(tmpdir(), 'edgewise-install-'));
afterEach(() => rmSync(root, { recursive: true, force: true }));

const runtimes = 'node_modules/onnxruntime-node/bin/napi-v6';
const here = `${runtimes}/${process.platform}/${process.arch}`;

function place(...files: readonly string[]): void {
  for (const file of files) {
    mkdirSync(join(root, file, '..'), { recursive: true });
    writeFileSync(join(root, file), '');
  }
}

const run = () => execFileSync(process.execPath, ['scripts/after-install.js', root], { encoding: 'utf8' });
const isThere = (file: string) => existsSync(join(root, file));

describe('scripts/after-install.js', () => {
  it('keeps the runtime of this platform, prints nothing, and can run again', () => {
    const others = [`${runtimes}/solaris/sparc/a.so`, `${runtimes}/${process.platform}/sparc/a.so`];
    place(`${here}/a.so`, ...others, 'node_modules/node/node_modules/node-any/include/node.h');
    place('node_modules/node/node_modules/node-any/bin/node');
    expect(run()).toBe('');
    expect(run()).toBe('');
    expect(isThere(`${here}/a.so`)).toBe(true);
    for (const file of others) expect(isThere(join(file, '..'))).toBe(false);
    expect(isThere('node_modules/node/node_modules/node-any/include')).toBe(false);
    expect(isThere('node_modules/node/node_modules/node-any/bin/node')).toBe(true);
  });

  it('removes no runtime if the package has none for this platform, and does not need the package', () => {
    expect(run()).toBe('');
    place(`${runtimes}/solaris/sparc/a.so`);
    expect(run()).toBe('');
    expect(isThere(`${runtimes}/solaris/sparc/a.so`)).toBe(true);
  });
});
