/// <reference path="./ort-wasm-glue.d.ts" />
import startJspi, { wasmDigest as jspiDigest, ortVersion } from '../../build/ort/jspi.mjs';
import jspiModule from '../../build/ort/jspi.wasm';
import startPlain, { wasmDigest as plainDigest } from '../../build/ort/plain.mjs';
import plainModule from '../../build/ort/plain.wasm';
import type { OrtBuild } from './ort-wasm-module.ts';

// The types of the platforms do not know of JSPI.
declare const WebAssembly: { readonly Suspending?: unknown };

// ONNX Runtime for workerd, which compiles modules at deployment only: hence the static imports.

export const workerdBuild: OrtBuild = {
  flavour: 'jspi',
  version: ortVersion,
  wasmDigest: jspiDigest,
  start: startJspi,
  wasmModule: jspiModule,
};
export const workerdPlainBuild: OrtBuild = {
  flavour: 'plain',
  version: ortVersion,
  wasmDigest: plainDigest,
  start: startPlain,
  wasmModule: plainModule,
};

/** What `createOrtWasmPair` takes: without the JSPI build where the runtime has no JSPI. */
export const workerdBuilds: { readonly jspi: OrtBuild | undefined; readonly plain: OrtBuild } = {
  jspi: WebAssembly.Suspending === undefined ? undefined : workerdBuild,
  plain: workerdPlainBuild,
};
