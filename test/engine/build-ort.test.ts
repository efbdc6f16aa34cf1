import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildOrt, findInstalledOrt } from '../../scripts/build-ort.ts';
import { clearSharedMemory, patchGlue, sources } from '../../scripts/ort-patches.ts';
import { loadNodeBuild } from '../../src/engine/ort-wasm-node.ts';

const { version, directory } = findInstalledOrt();
const flavours = ['jspi', 'plain'] as const;
const identity = { version, wasmDigest: `sha256:${'ab'.repeat(32)}` } as const;

function glueOf(flavour: (typeof flavours)[number]): string {
  return readFileSync(join(directory, `${sources[flavour]}.mjs`), 'utf8');
}

describe.each(flavours)('the %s build of the installed onnxruntime-web', (flavour) => {
  const wasm = readFileSync(join(directory, `${sources[flavour]}.wasm`));

  it('patchGlue() finds the text of every patch', () => {
    const patched = patchGlue(glueOf(flavour), flavour, identity);
    expect(patched).toContain(`export const ortVersion = "${version}"`);
    expect(patched).toContain(`export const wasmDigest = "${identity.wasmDigest}"`);
    expect(patched).not.toMatch(/shared:!0|import\.meta|globalThis\.process/);
  });

  it.each([
    [
      'the memory',
      'new WebAssembly.Memory({initial:256',
      'new WebAssembly.Memory({initial:512',
      'plain memory with the cap',
    ],
    ['the threads', 'Atomics.waitAsync', 'Atomics.waitForAWhile', 'no Atomics.waitAsync'],
    ['the host', '"em-pthread"', '"pthread"', 'no host detection'],
    ['growth', '4294901760', '2147483648', 'the heap grows by the requested size'],
  ])('patchGlue() names the patch that does not apply: %s', (_, before, after, patch) => {
    const changed = glueOf(flavour).replaceAll(before, after);
    expect(() => patchGlue(changed, flavour, identity)).toThrow(`${flavour}, "${patch}`);
    expect(() => patchGlue(changed, flavour, identity)).toThrow('scripts/ort-patches.ts');
  });

  it('clearSharedMemory() changes the flags of the memory import and nothing else', () => {
    const patched = clearSharedMemory(wasm);
    const at = patched.findIndex((byte, index) => byte !== wasm[index]);
    expect([wasm[at], patched[at]]).toEqual([3, 1]);
    patched[at] = 3;
    expect(wasm.equals(patched)).toBe(true);
    patched[at] = 1;
    expect(() => clearSharedMemory(patched)).toThrow('expected one that is shared');
  });
});

it('patchGlue() refuses glue that accesses the host in an unpatched place', () => {
  const changed = glueOf('jspi').replace('class Wd{', 'var extra=import.meta.dirname;class Wd{');
  expect(() => patchGlue(changed, 'jspi', identity)).toThrow('"import.meta" remains in the glue');
});

it('clearSharedMemory() refuses a module with a memory of its own', () => {
  const own = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 3, 1, 0, 1]);
  expect(() => clearSharedMemory(own)).toThrow('the module defines a memory');
});

it.each(flavours)('buildOrt() records the digest of the WASM file in the %s build', async (flavour) => {
  buildOrt();
  const file = readFileSync(join(import.meta.dirname, '../../build/ort', `${flavour}.wasm`));
  const { wasmDigest } = await loadNodeBuild(flavour);
  expect(wasmDigest).toBe(`sha256:${createHash('sha256').update(file).digest('hex')}`);
});

it('buildOrt() does nothing when the build is up to date', () => {
  buildOrt();
  expect(buildOrt()).toBe(false);
});
