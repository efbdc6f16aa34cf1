import { describe, expect, it } from 'vitest';
import { toLoadError, toRunError } from '../../src/engine/ort-errors.ts';

/** Messages of ONNX Runtime's CUDA provider. */
const outOfMemory = [
  'Status Message: bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 13111296',
  'bfc_arena.cc:342 Available memory of 1024 is smaller than requested bytes of 2048',
  'CUDA failure 2: out of memory ; GPU=0 ; hostname=a ; file=cuda_allocator.cc ; line=47',
  'CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&cublas_handle_);',
];

describe('toLoadError()', () => {
  it.each(outOfMemory)('is no_capacity for %j', (text) => {
    expect(toLoadError({ text }).code).toBe('no_capacity');
  });
});

describe('toRunError()', () => {
  it.each(outOfMemory)('is no_capacity for %j', (text) => {
    expect(toRunError({ text }).code).toBe('no_capacity');
  });

  it.each([
    [
      'CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; expr=cudaStreamSynchronize(stream_);',
      'CUDA failure 700',
    ],
    [
      'Non-zero status code returned while running Gemm node. CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED',
      'CUBLAS failure 13, in the Gemm node',
    ],
    [
      'CUDA error cudaErrorNoKernelImageForDevice:no kernel image is available for execution on the device',
      'cudaErrorNoKernelImageForDevice',
    ],
    ['WebGPU: the device was lost: unknown', 'device was lost'],
  ])('is internal for %j', (text, reason) => {
    const error = toRunError({ text });
    expect([error.code, error.message]).toEqual(['internal', 'the engine failed']);
    expect(error.cause).toEqual(
      new Error(`ONNX Runtime error, ${reason}, with a message of ${text.length} characters`),
    );
  });

  it('names the node that failed and does not quote its inputs', () => {
    const text =
      "Non-zero status code returned while running Gather node. Name:'pick' Status Message: indices element out of data bounds, idx=7310459 must be within the inclusive range [-3,2]";
    const { cause } = toRunError({ code: 6, text });
    expect(cause).toEqual(
      new Error("ONNX Runtime error 6, in the Gather node 'pick', with a message of 174 characters"),
    );
  });

  it.each([
    'Non-zero status code returned while running Reshape node. Input shape:{3}, requested shape:{2,2}',
    'CUDNN failure 3000: CUDNN_STATUS_NOT_SUPPORTED ; GPU=0',
  ])('is invalid_request for %j', (text) => {
    expect(toRunError({ text }).code).toBe('invalid_request');
  });
});
