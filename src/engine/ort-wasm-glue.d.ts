/** Types of the generated files of `build/ort/`, so that the tree type-checks before the first build. */
declare module '*/build/ort/jspi.mjs' {
  const start: import('./ort-wasm-module.ts').StartOrtModule;
  export default start;
  export const ortVersion: string;
  export const wasmDigest: `sha256:${string}`;
}
declare module '*/build/ort/plain.mjs' {
  const start: import('./ort-wasm-module.ts').StartOrtModule;
  export default start;
  export const ortVersion: string;
  export const wasmDigest: `sha256:${string}`;
}
declare module '*/build/ort/jspi.wasm' {
  const module: WebAssembly.Module;
  export default module;
}
declare module '*/build/ort/plain.wasm' {
  const module: WebAssembly.Module;
  export default module;
}
