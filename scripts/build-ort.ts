/**
 * Writes `build/ort/`: the JSPI and plain builds of onnxruntime-web, patched to use a capped, non-shared memory and no host
 * detection. Returns quickly if the files are up to date, so every start, test and deployment calls it.
 *
 *   node scripts/build-ort.ts
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { clearSharedMemory, type Flavour, patchGlue, sources } from './ort-patches.ts';

const root = join(import.meta.dirname, '..');
const outDirectory = join(root, 'build', 'ort');
const flavours: readonly Flavour[] = ['jspi', 'plain'];

interface OrtPackage {
  readonly version: string;
  /** The package's `dist/`. */
  readonly directory: string;
}

export function findInstalledOrt(): OrtPackage {
  const directory = dirname(
    createRequire(import.meta.url).resolve('onnxruntime-web/ort-wasm-simd-threaded.wasm'),
  );
  const manifest: unknown = JSON.parse(readFileSync(join(directory, '..', 'package.json'), 'utf8'));
  if (typeof manifest !== 'object' || manifest === null || !('version' in manifest)) {
    throw new Error(`${directory}/../package.json has no version`);
  }
  return { version: String(manifest.version), directory };
}

/** Returns a digest that changes with the package and with the patches. */
function computeStamp({ version, directory }: OrtPackage): string {
  const hash = createHash('sha256').update(version);
  for (const script of ['build-ort.ts', 'ort-patches.ts']) {
    hash.update(readFileSync(join(import.meta.dirname, script)));
  }
  for (const name of Object.values(sources)) {
    for (const extension of ['mjs', 'wasm']) {
      const { size, mtimeMs } = statSync(join(directory, `${name}.${extension}`));
      hash.update(`${name}.${extension} ${size} ${mtimeMs}\n`);
    }
  }
  return hash.digest('hex');
}

/** Writes the file atomically, because two processes may build at the same time. */
function writeAtomically(path: string, content: string | Uint8Array): void {
  const part = `${path}.${process.pid}.part`;
  writeFileSync(part, content);
  renameSync(part, path);
}

/** Builds what is out of date. Returns whether files were written. */
export function buildOrt(): boolean {
  const ort = findInstalledOrt();
  const stamp = computeStamp(ort);
  const stampPath = join(outDirectory, 'stamp');
  if (existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp) {
    return false;
  }
  mkdirSync(outDirectory, { recursive: true });
  for (const flavour of flavours) {
    const source = join(ort.directory, sources[flavour]);
    const wasm = clearSharedMemory(readFileSync(`${source}.wasm`));
    const glue = patchGlue(readFileSync(`${source}.mjs`, 'utf8'), flavour, {
      version: ort.version,
      wasmDigest: `sha256:${createHash('sha256').update(wasm).digest('hex')}`,
    });
    writeAtomically(join(outDirectory, `${flavour}.mjs`), glue);
    writeAtomically(join(outDirectory, `${flavour}.wasm`), wasm);
  }
  writeAtomically(stampPath, stamp);
  return true;
}

if (import.meta.main && buildOrt()) {
  console.log(`build/ort: patched ONNX Runtime ${findInstalledOrt().version}`);
}
