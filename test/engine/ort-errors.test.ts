import { describe, expect, it } from 'vitest';
import { createError, runError } from '../../src/engine/ort-errors.ts';

/** Texts as ONNX Runtime's CUDA provider gives them. */
const outOfMemory = [
  'Status Message: bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 13111296',
  'bfc_arena.cc:342 Available memory of 1024 is smaller than requested bytes of 2048',
  'CUDA failure 2: out of memory ; GPU=0 ; hostname=a ; file=cuda_allocator.cc ; line=47',
  'CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&cublas_handle_);',
];

describe('createError()', () => {
  it.each(outOfMemory)('is no_capacity for %j', (text) => {
    expect(createError({ text }).code).toBe('no_capacity');
  });
});

describe('runError()', () => {
  it.each(outOfMemory)('is no_capacity for %j', (text) => {
    expect(runError({ text }).code).toBe('no_capacity');
  });

  it.each([
    'CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; expr=cudaStreamSynchronize(stream_);',
    'Non-zero status code returned while running Gemm node. CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED',
    'CUDA error cudaErrorNoKernelImageForDevice:no kernel image is available for execution on the device',
    'WebGPU: the device was lost: unknown',
  ])('is not the caller’s fault for %j', (text) => {
    const error = runError({ text });
    expect([error.code, error.message]).toEqual(['internal', 'the engine failed']);
    expect(error.cause).toEqual(new Error(text));
  });

  it.each([
    'Non-zero status code returned while running Reshape node. Input shape:{3}, requested shape:{2,2}',
    'CUDNN failure 3000: CUDNN_STATUS_NOT_SUPPORTED ; GPU=0',
  ])('is the caller’s for %j', (text) => {
    expect(runError({ text }).code).toBe('invalid_request');
  });
});
