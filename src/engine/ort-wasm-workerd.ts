/// <reference path="./ort-wasm-glue.d.ts" />
import startJspi, { wasmDigest as jspiDigest, ortVersion } from '../../build/ort/jspi.mjs';
import jspiModule from '../../build/ort/jspi.wasm';
import startPlain, { wasmDigest as plainDigest } from '../../build/ort/plain.mjs';
import plainModule from '../../build/ort/plain.wasm';
import type { OrtBuild } from './ort-wasm-module.ts';

// The platforms' types do not declare JSPI.
declare const WebAssembly: { readonly Suspending?: unknown };

// workerd compiles modules only at deployment, hence the static imports.

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

/** The builds for `createOrtWasmPair`; `jspi` is undefined if the runtime lacks JSPI. */
export const workerdBuilds: { readonly jspi: OrtBuild | undefined; readonly plain: OrtBuild } = {
  jspi: WebAssembly.Suspending === undefined ? undefined : workerdBuild,
  plain: workerdPlainBuild,
};
