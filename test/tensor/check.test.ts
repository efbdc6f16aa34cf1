import { describe, expect, it } from 'vitest';
import { zeroTensor } from '../../src/tensor/allocate.ts';
import { checkFeeds } from '../../src/tensor/check.ts';
import type { Tensor, TensorSpec } from '../../src/tensor/tensor.ts';

const specs: readonly TensorSpec[] = [
  { name: 'a', datatype: 'FP32', shape: [-1, 3] },
  { name: 'b', datatype: 'INT64', shape: [-1] },
];
const a = zeroTensor('FP32', [2, 3]);
const b = zeroTensor('INT64', [2]);

function check(feeds: Readonly<Record<string, Tensor>>, maxBatchSize?: number): void {
  const options = maxBatchSize === undefined ? {} : { maxBatchSize };
  checkFeeds(new Map(Object.entries(feeds)), specs, options);
}

function code(expected: string, message: string): unknown {
  return expect.objectContaining({ code: expected, message: expect.stringContaining(message) });
}

describe('checkFeeds()', () => {
  it('accepts declared inputs in any order, with free dimensions of any size', () => {
    check({ b, a });
    check({ a: zeroTensor('FP32', [0, 3]), b: zeroTensor('INT64', [7]) });
    check({ a, b }, 2);
  });

  it('names missing and unknown inputs', () => {
    expect(() => check({ a })).toThrow(
      code('invalid_request', 'input "b" is missing; the model expects "a", "b"'),
    );
    expect(() => check({ a, b, c: b })).toThrow(
      code('invalid_request', 'input "c" is unknown; the model expects'),
    );
    expect(() => check({ a, c: b })).toThrow(code('invalid_request', 'input "b" is missing'));
  });

  it('names the given and the expected datatype and shape', () => {
    expect(() => check({ a, b: zeroTensor('INT32', [2]) })).toThrow(
      code('invalid_request', 'input "b" is INT32; the model expects INT64'),
    );
    expect(() => check({ a: zeroTensor('FP32', [2, 4]), b })).toThrow(
      code('shape_mismatch', 'input "a" has shape [2,4]; the model expects [-1,3]'),
    );
    expect(() => check({ a: zeroTensor('FP32', [6]), b })).toThrow(code('shape_mismatch', '[6]'));
  });

  it('requires equal batches from 1 to maxBatchSize', () => {
    expect(() => check({ a, b }, 1)).toThrow(code('invalid_request', 'batch of 2; the model expects 1 to 1'));
    const empty = { a: zeroTensor('FP32', [0, 3]), b: zeroTensor('INT64', [0]) };
    expect(() => check(empty, 4)).toThrow(code('invalid_request', 'batch of 0'));
    expect(() => check({ a, b: zeroTensor('INT64', [3]) }, 4)).toThrow(code('shape_mismatch', 'batch of 3'));
  });
});
