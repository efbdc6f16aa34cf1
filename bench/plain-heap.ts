/** Prints the bytes of WASM memory that the published onnxruntime-web takes by default for an .onnx file. */
import { readFileSync } from 'node:fs';
import { env, InferenceSession } from 'onnxruntime-web/wasm';

interface Memory {
  readonly buffer: ArrayBufferLike;
}
declare const WebAssembly: { Memory: new (limits: unknown) => Memory };

const memories: Memory[] = [];
WebAssembly.Memory = class extends WebAssembly.Memory {
  constructor(limits: unknown) {
    super(limits);
    memories.push(this);
  }
};
env.wasm.numThreads = 1;
await InferenceSession.create(readFileSync(process.argv[2] ?? ''));
console.log(Math.max(...memories.map(({ buffer }) => buffer.byteLength)));
process.exit();
