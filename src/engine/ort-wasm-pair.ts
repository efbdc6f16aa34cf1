import type { Clock } from '../async/clock.ts';
import { isEdgewiseError } from '../errors.ts';
import { MissingKernelError } from './ort-errors.ts';
import { createOrtWasmEngine, type OrtWasmOptions } from './ort-wasm.ts';
import type { OrtBuild } from './ort-wasm-module.ts';
import type { Engine, ModelSource } from './types.ts';

export interface OrtWasmPairOptions {
  /** Streams weights, with fewer kernels. Absent where the runtime lacks JSPI: then every model goes to the plain one. */
  readonly jspi?: OrtBuild | undefined;
  /** Takes weights whole; has every kernel. */
  readonly plain: OrtBuild;
  /** Of both memories together. */
  readonly memoryCapBytes?: number;
  /** Of the outputs of one run together. Default: unlimited. */
  readonly maxOutputBytes?: number;
  readonly clock?: Clock;
}

/**
 * Both builds of ONNX Runtime as one engine under one cap. A model goes to the JSPI build; only where that lacks a kernel
 * for it (CumSum, Cast to FP64 and some sixty more cases of the ONNX backend suite) to the plain one, whose memory, 16 MiB
 * at least, is not taken before such a model comes. See docs/decisions/0006-two-builds.md.
 */
export function createOrtWasmPair({ jspi, plain, ...shared }: OrtWasmPairOptions): Engine {
  const options = (build: OrtBuild): OrtWasmOptions => ({ build, ...shared });
  if (jspi === undefined) {
    return createOrtWasmEngine(options(plain));
  }
  const streaming: Engine = createOrtWasmEngine({
    ...options(jspi),
    takenElsewhere: () => complete.memory().usedBytes,
  });
  const complete: Engine = createOrtWasmEngine({
    ...options(plain),
    takenElsewhere: () => streaming.memory().usedBytes,
  });
  return {
    name: streaming.name,
    version: streaming.version,
    memory: () => ({
      usedBytes: streaming.memory().usedBytes + complete.memory().usedBytes,
      capBytes: streaming.memory().capBytes,
    }),
    async createSession(source: ModelSource) {
      try {
        return await streaming.createSession(source);
      } catch (error) {
        if (isEdgewiseError(error) && error.cause instanceof MissingKernelError) {
          return await complete.createSession(source);
        }
        throw error;
      }
    },
  };
}
