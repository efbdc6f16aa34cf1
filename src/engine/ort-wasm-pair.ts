import type { Clock } from '../async/clock.ts';
import { isEdgewiseError } from '../errors.ts';
import { MissingKernelError } from './ort-errors.ts';
import { createOrtWasmEngine, type OrtWasmOptions } from './ort-wasm.ts';
import type { OrtBuild } from './ort-wasm-module.ts';
import type { Engine, ModelSource } from './types.ts';

export interface OrtWasmPairOptions {
  /** Streams weights; has fewer kernels. Absent if the runtime lacks JSPI: every model then uses the plain build. */
  readonly jspi?: OrtBuild | undefined;
  /** Needs weights whole; has every kernel. */
  readonly plain: OrtBuild;
  /** Cap of both memories together. */
  readonly memoryCapBytes?: number;
  /** Total size of one run's outputs. Default: unlimited. */
  readonly maxOutputBytes?: number;
  readonly clock?: Clock;
}

/**
 * Combines both builds of ONNX Runtime into one engine under one memory cap. A model uses the JSPI build; if that lacks a
 * kernel (CumSum, Cast to FP64 and about sixty more cases of the ONNX backend suite), the plain build, whose memory of at
 * least 16 MiB is allocated with the first such model. See docs/decisions/0006-two-builds.md.
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
