/** The ONNX project's backend cases from Debian's libonnx-testdata: a model, its inputs and expected outputs. */
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
  /** Name of the folder, such as `test_add`; unique across suites. */
  readonly name: string;
  readonly suite: (typeof suites)[number];
  readonly path: string;
}

/** @throws Error naming the package to install if the data is missing. */
export function backendCases(): BackendCase[] {
  if (!existsSync(dataFolder)) {
    throw new Error(`${dataFolder} does not exist; install Debian's package libonnx-testdata`);
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
 * Reads the tensors of `input_0.pb`, `input_1.pb` … or of the outputs, named in the order of the graph. Returns none if the
 * protocol has no form for one of them (a sequence, an optional, bfloat16): such a model cannot be published.
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
    throw new Error(`${path} has ${count} files of ${kind}s; expected ${values.length} as in its graph`);
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
    throw new Error(`the protocol has no form for a tensor of ONNX type ${tensor.dataType}`);
  }
  return tensorFromBytes(datatype, shape, bytes);
}
