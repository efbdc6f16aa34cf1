import { describe, expect, it } from 'vitest';
import { checkRequestedOutputs } from '../../../src/protocol/oip/check-outputs.ts';
import type { RequestedOutput } from '../../../src/protocol/oip/types.ts';
import type { TensorSpec } from '../../../src/tensor/tensor.ts';

const specs: readonly TensorSpec[] = [
  { name: 'y', datatype: 'FP32', shape: [-1] },
  { name: 'h', datatype: 'FP16', shape: [-1] },
];

function check(outputs: readonly RequestedOutput[] | undefined, binaryOutput = false): void {
  checkRequestedOutputs({ ...(outputs === undefined ? undefined : { outputs }), binaryOutput }, specs);
}

function code(wanted: string): unknown {
  return expect.objectContaining({ code: wanted });
}

describe('checkRequestedOutputs()', () => {
  it('refuses an output that the model does not have', () => {
    expect(() => check([{ name: 'z', binary: false }])).toThrow(code('invalid_request'));
  });

  it('refuses FP16 that would have to be JSON, listed or not', () => {
    expect(() => check(undefined)).toThrow(code('unsupported_datatype'));
    expect(() => check([{ name: 'h', binary: false }], true)).toThrow(code('unsupported_datatype'));
    check(undefined, true);
    check([{ name: 'h', binary: true }]);
    check([{ name: 'y', binary: false }]);
  });

  it('refuses to classify what has no order', () => {
    check([{ name: 'y', binary: false, classification: 1 }]);
    expect(() => check([{ name: 'h', binary: true, classification: 1 }])).toThrow(
      code('unsupported_datatype'),
    );
  });
});
