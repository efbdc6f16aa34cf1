/// <reference path="./ort-wasm-glue.d.ts" />
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { EdgewiseError } from '../errors.ts';
import type { OrtBuild, StartOrtModule } from './ort-wasm-module.ts';

// Node's own types have the classes of WebAssembly, but not its functions.
declare const WebAssembly: {
  readonly Suspending?: unknown;
  compile(bytes: Uint8Array): Promise<WebAssembly.Module>;
};

const directory = new URL('../../build/ort/', import.meta.url);

/**
 * ONNX Runtime for Node, from `build/ort/`: the build that streams weights where this Node has JSPI (24 wants
 * `--experimental-wasm-jspi`), else the one that takes them whole.
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

/** What `createOrtWasmPair` takes, as far as this Node goes. */
export async function loadNodeBuilds(): Promise<{ readonly jspi?: OrtBuild; readonly plain: OrtBuild }> {
  const plain = await loadNodeBuild('plain');
  return WebAssembly.Suspending === undefined ? { plain } : { jspi: await loadNodeBuild('jspi'), plain };
}

/** Where the builds of this version are. */
export const ownBuilds = fileURLToPath(directory);

/**
 * The build whose WASM file has this digest, in one of `folders`, each as `scripts/build-ort.ts` of some version wrote it.
 * Undefined where there is none, or where this Node lacks JSPI and it is one that needs it. The JavaScript beside the WASM
 * file is run as it stands: it is for whoever names a folder to know where it comes from.
 *
 * @throws EdgewiseError `digest_mismatch` where the WASM file is not the one that was built; `invalid_request` for a folder
 * that cannot be read.
 */
export async function findNodeBuild(
  wasm: OrtBuild['wasmDigest'],
  folders: readonly string[],
): Promise<OrtBuild | undefined> {
  for (const folder of folders) {
    for (const flavour of ['jspi', 'plain'] as const) {
      const { default: start, ortVersion, wasmDigest } = await glueIn(folder, flavour);
      if (wasmDigest !== wasm) continue;
      if (flavour === 'jspi' && WebAssembly.Suspending === undefined) continue;
      const bytes = await readFile(join(folder, `${flavour}.wasm`));
      const found = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
      if (found !== wasm) {
        throw new EdgewiseError(
          'digest_mismatch',
          `${join(folder, `${flavour}.wasm`)} is ${found}, what was built is ${wasm}`,
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

async function glueIn(folder: string, flavour: OrtBuild['flavour']): Promise<Glue> {
  const path = join(folder, `${flavour}.mjs`);
  let glue: unknown;
  try {
    glue = await import(pathToFileURL(path).href);
  } catch (cause) {
    throw new EdgewiseError('invalid_request', `${path} cannot be read, wanted a build of ONNX Runtime`, {
      cause,
    });
  }
  if (isGlue(glue)) return glue;
  throw new EdgewiseError(
    'invalid_request',
    `${path} does not say what it is, wanted a build of this Edgewise or a later one`,
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
