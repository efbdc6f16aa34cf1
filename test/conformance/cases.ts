/** The ONNX project's backend cases as Debian's libonnx-testdata ships them: a model, its inputs, its expected outputs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tensorProto } from '../../src/repository/onnx/proto-tables.ts';
import { type GraphProto, type TensorProto, tensorTypes } from '../../src/repository/onnx/proto-types.ts';
import { rawBytes } from '../../src/repository/onnx/tensor-data.ts';
import { decodeProtobuf } from '../../src/repository/onnx/wire.ts';
import { tensorFromBytes } from '../../src/tensor/bytes.ts';
import { dataTypeOfOnnx } from '../../src/tensor/onnx-type.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const dataFolder = '/usr/share/libonnx-testdata/data';
const suites = ['node', 'simple', 'pytorch-converted', 'pytorch-operator'] as const;

export interface BackendCase {
  /** Its folder: `test_add`. No two suites share one. */
  readonly name: string;
  readonly suite: (typeof suites)[number];
  readonly path: string;
}

/** @throws Error saying what to install where the data is not there. */
export function backendCases(): BackendCase[] {
  if (!existsSync(dataFolder)) {
    throw new Error(`${dataFolder} is not there: install Debian's package libonnx-testdata`);
  }
  return suites.flatMap((suite) =>
    readdirSync(join(dataFolder, suite), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => ({ name, suite, path: join(dataFolder, suite, name) })),
  );
}

export function readModel({ path }: BackendCase): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(join(path, 'model.onnx')));
}

/**
 * The tensors of `input_0.pb`, `input_1.pb` … or of the outputs, under the names that the graph gives them in that order.
 * None at all where one has no form in the protocol (a sequence, an optional, bfloat16): such a model cannot be published.
 */
export function readTensors(
  { path }: BackendCase,
  kind: 'input' | 'output',
  graph: GraphProto,
): Map<string, Tensor> {
  const constants = new Set(graph.initializer?.map(({ name }) => name));
  const values = (graph[kind] ?? []).filter(({ name }) => !constants.has(name));
  const folder = join(path, 'test_data_set_0');
  const count = readdirSync(folder).filter((file) => file.startsWith(`${kind}_`)).length;
  if (count !== values.length) {
    throw new Error(`${path} has ${count} files of ${kind}s, its graph ${values.length}`);
  }
  if (!values.every(({ type }) => hasForm(type?.tensorType?.elemType))) {
    return new Map();
  }
  return new Map(
    values.map(({ name = '' }, index) => {
      const bytes = readFileSync(join(folder, `${kind}_${index}.pb`));
      return [name, tensorOf(decodeProtobuf(tensorProto, bytes, 'a tensor'))];
    }),
  );
}

function hasForm(elemType: number | undefined): boolean {
  return dataTypeOfOnnx(elemType ?? tensorTypes.UNDEFINED) !== undefined;
}

function tensorOf(tensor: TensorProto): Tensor {
  const shape = (tensor.dims ?? []).map(Number);
  const datatype = dataTypeOfOnnx(tensor.dataType ?? tensorTypes.UNDEFINED);
  if (datatype === 'BYTES') {
    const data = (tensor.stringData ?? []).map((bytes) => new TextDecoder().decode(bytes));
    return { datatype, shape, data };
  }
  const bytes = rawBytes(tensor);
  if (datatype === undefined || bytes === undefined) {
    throw new Error(`a tensor of the ONNX type ${tensor.dataType} has no form in the protocol`);
  }
  return tensorFromBytes(datatype, shape, bytes);
}
