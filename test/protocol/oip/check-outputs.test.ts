import { describe, expect, it } from 'vitest';
import { checkRequestedOutputs } from '../../../src/protocol/oip/check-outputs.ts';
import type { RequestedOutput } from '../../../src/protocol/oip/types.ts';
import type { TensorSpec } from '../../../src/tensor/tensor.ts';
import { code } from '../../support/edgewise-error.ts';

const specs: readonly TensorSpec[] = [
  { name: 'y', datatype: 'FP32', shape: [-1] },
  { name: 'h', datatype: 'FP16', shape: [-1] },
];

function check(outputs: readonly RequestedOutput[] | undefined, binaryOutput = false): void {
  checkRequestedOutputs({ ...(outputs === undefined ? undefined : { outputs }), binaryOutput }, specs);
}

describe('checkRequestedOutputs()', () => {
  it('rejects an output that the model does not have', () => {
    expect(() => check([{ name: 'z', binary: false }])).toThrow(code('invalid_request'));
  });

  it('rejects FP16 as JSON, listed or not', () => {
    expect(() => check(undefined)).toThrow(code('unsupported_datatype'));
    expect(() => check([{ name: 'h', binary: false }], true)).toThrow(code('unsupported_datatype'));
    check(undefined, true);
    check([{ name: 'h', binary: true }]);
    check([{ name: 'y', binary: false }]);
  });

  it('rejects classification of types without an order', () => {
    check([{ name: 'y', binary: false, classification: 1 }]);
    expect(() => check([{ name: 'h', binary: true, classification: 1 }])).toThrow(
      code('unsupported_datatype'),
    );
  });
});
