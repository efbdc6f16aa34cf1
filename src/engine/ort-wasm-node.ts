/// <reference path="./ort-wasm-glue.d.ts" />
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { EdgewiseError } from '../errors.ts';
import type { OrtBuild, StartOrtModule } from './ort-wasm-module.ts';

// Node's types declare the classes of WebAssembly but not its functions.
declare const WebAssembly: {
  readonly Suspending?: unknown;
  compile(bytes: Uint8Array): Promise<WebAssembly.Module>;
};

const directory = new URL('../../build/ort/', import.meta.url);

/**
 * Loads ONNX Runtime from `build/ort/`: the build that streams weights if this Node has JSPI (Node 24 needs
 * `--experimental-wasm-jspi`), otherwise the build that needs them whole.
 */
export async function loadNodeBuild(
  flavour: OrtBuild['flavour'] = WebAssembly.Suspending === undefined ? 'plain' : 'jspi',
): Promise<OrtBuild> {
  const {
    default: start,
    ortVersion,
    wasmDigest,
  } = flavour === 'jspi'
    ? await import('../../build/ort/jspi.mjs')
    : await import('../../build/ort/plain.mjs');
  const wasmModule = await WebAssembly.compile(await readFile(new URL(`${flavour}.wasm`, directory)));
  return { flavour, version: ortVersion, wasmDigest, start, wasmModule };
}

/** Loads the builds for `createOrtWasmPair`; without `jspi` if this Node lacks JSPI. */
export async function loadNodeBuilds(): Promise<{ readonly jspi?: OrtBuild; readonly plain: OrtBuild }> {
  const plain = await loadNodeBuild('plain');
  return WebAssembly.Suspending === undefined ? { plain } : { jspi: await loadNodeBuild('jspi'), plain };
}

/** Folder of this version's builds. */
export const ownBuilds = fileURLToPath(directory);

/**
 * Finds the build whose WASM file has the digest `wasm`. Each of `folders` was written by some version of
 * `scripts/build-ort.ts`. Returns undefined if there is no such build, or if it needs JSPI and this Node lacks it. The
 * JavaScript beside the WASM file is executed without checks: the caller must trust the folders.
 *
 * @throws EdgewiseError `digest_mismatch` if the WASM file does not have its recorded digest; `invalid_request` for a folder
 * that cannot be read.
 */
export async function findNodeBuild(
  wasm: OrtBuild['wasmDigest'],
  folders: readonly string[],
): Promise<OrtBuild | undefined> {
  for (const folder of folders) {
    for (const flavour of ['jspi', 'plain'] as const) {
      const { default: start, ortVersion, wasmDigest } = await importGlue(folder, flavour);
      if (wasmDigest !== wasm) continue;
      if (flavour === 'jspi' && WebAssembly.Suspending === undefined) continue;
      const bytes = await readFile(join(folder, `${flavour}.wasm`));
      const found = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
      if (found !== wasm) {
        throw new EdgewiseError(
          'digest_mismatch',
          `${join(folder, `${flavour}.wasm`)} has digest ${found}; expected ${wasm}`,
        );
      }
      const wasmModule = await WebAssembly.compile(bytes);
      return { flavour, version: ortVersion, wasmDigest, start, wasmModule };
    }
  }
  return undefined;
}

interface Glue {
  readonly default: StartOrtModule;
  readonly ortVersion: string;
  readonly wasmDigest: OrtBuild['wasmDigest'];
}

async function importGlue(folder: string, flavour: OrtBuild['flavour']): Promise<Glue> {
  const path = join(folder, `${flavour}.mjs`);
  let glue: unknown;
  try {
    glue = await import(pathToFileURL(path).href);
  } catch (cause) {
    throw new EdgewiseError('invalid_request', `${path} cannot be read; expected a build of ONNX Runtime`, {
      cause,
    });
  }
  if (isGlue(glue)) return glue;
  throw new EdgewiseError(
    'invalid_request',
    `${path} does not state its version and digest; expected a build by this version of Edgewise or a later one`,
  );
}

function isGlue(value: unknown): value is Glue {
  return (
    typeof value === 'object' &&
    value !== null &&
    'default' in value &&
    typeof value.default === 'function' &&
    'ortVersion' in value &&
    typeof value.ortVersion === 'string' &&
    'wasmDigest' in value &&
    typeof value.wasmDigest === 'string' &&
    /^sha256:[0-9a-f]{64}$/.test(value.wasmDigest)
  );
}
