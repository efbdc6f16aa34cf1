import { describe, expect, it } from 'vitest';
import { createOrtNodeEngine } from '../../../src/engine/ort-node.ts';
import { EdgewiseError } from '../../../src/errors.ts';
import {
  attributeTypes,
  decodeModel,
  encodeModel,
  type NodeProto,
  tensorTypes,
} from '../../../src/repository/onnx/proto.ts';
import {
  explainLoadError,
  missingKernelReason,
  runtimeReason,
} from '../../../src/repository/publish/load-reason.ts';
import type { DataType } from '../../../src/tensor/datatype.ts';
import { node, value } from '../../support/onnx-models.ts';

interface Stamps {
  readonly irVersion?: bigint;
  readonly opset?: bigint;
}

function graphOf(
  nodes: readonly NodeProto[],
  datatype: DataType = 'FP32',
  { irVersion = 10n, opset = 21n }: Stamps = {},
): Uint8Array {
  return encodeModel({
    irVersion,
    opsetImport: [{ version: opset }, { domain: 'com.acme', version: 1n }],
    graph: {
      name: 'g',
      node: [...nodes],
      input: [value('x', datatype, datatype === 'BYTES' ? ['n'] : ['n', 'n'])],
      output: [value('y', datatype, datatype === 'BYTES' ? ['n'] : ['n', 'n'])],
    },
  });
}

const castTo = (type: number) => [{ name: 'to', type: attributeTypes.INT, i: BigInt(type) }];
/** A product in bfloat16, for which ONNX Runtime has no kernel on a CPU. */
const bfloat16Product = graphOf([
  node('Cast', ['x'], ['b'], { attribute: castTo(tensorTypes.BFLOAT16) }),
  node('MatMul', ['b', 'b'], ['c']),
  node('Cast', ['c'], ['y'], { attribute: castTo(tensorTypes.FLOAT) }),
]);
const bytes = (text: string) => new TextEncoder().encode(text);

async function loadError(graph: Uint8Array): Promise<unknown> {
  try {
    await createOrtNodeEngine().createSession({ graph });
  } catch (error) {
    return error;
  }
  throw new Error('expected a model that the runtime refuses');
}

describe('explainLoadError()', () => {
  it.each<[string, Uint8Array, RegExp]>([
    [
      'an IR version',
      graphOf([node('Relu', ['x'], ['y'])], 'FP32', { irVersion: 99n }),
      /: Unsupported model IR version: 99, max supported IR version: \d+\. Save it in an older format, in Python: model\.ir_version = 10 before onnx\.save/,
    ],
    [
      'an opset',
      graphOf([node('Relu', ['x'], ['y'])], 'FP32', { opset: 99n }),
      /: ONNX Runtime only [\s\S]*Opset 99 [\s\S]*\. Convert it to an opset that the runtime has, in Python: onnx\.version_converter\.convert_version\(model, 21\)$/,
    ],
    [
      'a missing kernel, with its type',
      bfloat16Product,
      /operator MatMul[\s\S]*: Could not find an implementation for MatMul\(13\) node with name ''\. The kernel is MatMul of BFLOAT16\. [\s\S]*--origin/,
    ],
    [
      'an operator of its own domain',
      graphOf([node('Foo', ['x'], ['y'], { domain: 'com.acme' })]),
      /com\.acme:Foo\(-1\) is not a registered function\/op\. [\s\S]*--origin/,
    ],
    [
      'a locale',
      graphOf(
        [
          node('StringNormalizer', ['x'], ['y'], {
            attribute: [
              { name: 'locale', type: attributeTypes.STRING, s: bytes('xx_XX') },
              { name: 'case_change_action', type: attributeTypes.STRING, s: bytes('LOWER') },
            ],
          }),
        ],
        'BYTES',
      ),
      /: Exception during initialization: Failed to construct locale with name:xx_XX[\s\S]*\. Install the locale/,
    ],
    [
      'a type that an operator does not take',
      graphOf([node('Relu', ['x'], ['y'])], 'UINT8'),
      /: This is an invalid model\. Type Error: Type 'tensor\(uint8\)' of input parameter \(x\)[\s\S]*onnx\.checker\.check_model/,
    ],
  ])('adds the runtime’s own reason for %s, and advice', async (_, graph, expected) => {
    const explained = explainLoadError(await loadError(graph), decodeModel(graph));
    expect(explained).toBeInstanceOf(EdgewiseError);
    expect(explained).toMatchObject({ code: 'invalid_request', message: expect.stringMatching(expected) });
    expect(String(explained)).not.toMatch(/onnxruntime_src|\.cc:\d/);
  });

  it('returns other errors unchanged', () => {
    const other = new EdgewiseError('too_large', 'no');
    expect(explainLoadError(other, decodeModel(bfloat16Product))).toBe(other);
  });
});

describe('missingKernelReason()', () => {
  it('returns a reason for a kernel that another build may have, and for no other failure', async () => {
    const model = decodeModel(bfloat16Product);
    expect(missingKernelReason(await loadError(bfloat16Product), model)).toMatch(/\(MatMul of BFLOAT16\)$/);
    const newer = graphOf([node('Relu', ['x'], ['y'])], 'FP32', { irVersion: 99n });
    expect(missingKernelReason(await loadError(newer), decodeModel(newer))).toBeUndefined();
  });
});

describe('runtimeReason()', () => {
  it.each([
    [
      'ONNX Runtime error 1: /mnt/a/_work/1/s/model.cc:203 onnxruntime::Model::Model(ModelProto &&, const X &) Unsupported model',
      'Unsupported model',
    ],
    [
      "Could not find an implementation for MatMul(13) node with name 'a (b) C'",
      "Could not find an implementation for MatMul(13) node with name 'a (b) C'",
    ],
    ['Fatal error: x is not a registered function/op\n', 'Fatal error: x is not a registered function/op'],
  ])('returns the message in %j', (text, expected) => {
    expect(runtimeReason(text)).toBe(expected);
  });
});
