/// <reference path="./ort-wasm-glue.d.ts" />
import { readFile } from 'node:fs/promises';
import type { OrtBuild } from './ort-wasm-module.ts';

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
