/// <reference path="./ort-wasm-glue.d.ts" />
import start, { ortVersion } from '../../build/ort/jspi.mjs';
import wasmModule from '../../build/ort/jspi.wasm';
import type { OrtBuild } from './ort-wasm-module.ts';

/** ONNX Runtime for workerd, which compiles modules at deployment only: hence the static import. */
export const workerdBuild: OrtBuild = { flavour: 'jspi', version: ortVersion, start, wasmModule };
