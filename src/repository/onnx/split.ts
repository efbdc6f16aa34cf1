import { type ChunkPlan, planChunks } from './chunk-plan.ts';
import { inlineExternalData } from './external.ts';
import { hoistInitializers } from './hoist.ts';
import { decodeModel, encodeModel } from './proto.ts';
import { dataLocations, type ModelProto, type TensorProto } from './proto-types.ts';
import { rawBytes } from './tensor-data.ts';

/** The `location` under which a published graph refers to its weights. */
export const weightsPath = 'weights.bin';

/** Below this many bytes an initializer stays in the graph: shapes and the like, which are read while a model loads. */
export const minExternalBytes = 1024;

export interface WeightPiece {
  readonly offset: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface SplitModel {
  /** An `.onnx` file whose larger initializers are external data. */
  readonly graph: Uint8Array<ArrayBuffer>;
  /** Absent when every weight stays in the graph. */
  readonly weights?: {
    readonly path: string;
    readonly byteLength: number;
    readonly pieces: readonly WeightPiece[];
  };
}

/**
 * Takes the initializers of at least 1 KiB out of the graph, those of subgraphs included, and cuts them as `planChunks`
 * says. Strings, sparse tensors and the values of attributes stay.
 *
 * @throws EdgewiseError `invalid_request` when a tensor's shape and data disagree.
 */
export function splitModel(source: ModelProto): SplitModel {
  const model = hoistInitializers(source, minExternalBytes);
  const initializers = model.graph?.initializer ?? [];
  const moved = new Map<TensorProto, Uint8Array>();
  for (const tensor of initializers) {
    const bytes = rawBytes(tensor);
    if (bytes !== undefined && bytes.byteLength >= minExternalBytes) {
      moved.set(tensor, bytes);
    }
  }
  if (moved.size === 0) {
    return { graph: encodeModel(model) };
  }
  const values = [...moved.values()];
  const plan = planChunks(values.map(({ byteLength }) => byteLength));
  const references = new Map(
    [...moved.keys()].map((tensor, index) => [
      tensor,
      externalTensor(tensor, plan.offsets[index] ?? 0, values[index]?.byteLength ?? 0),
    ]),
  );
  return {
    graph: encodeModel({
      ...model,
      graph: { ...model.graph, initializer: initializers.map((tensor) => references.get(tensor) ?? tensor) },
    }),
    weights: { path: weightsPath, byteLength: plan.byteLength, pieces: cut(plan, values) },
  };
}

function externalTensor(tensor: TensorProto, offset: number, length: number): TensorProto {
  const { rawData: _, floatData, doubleData, int32Data, int64Data, uint64Data, ...rest } = tensor;
  return {
    ...rest,
    externalData: [
      { key: 'location', value: weightsPath },
      { key: 'offset', value: String(offset) },
      { key: 'length', value: String(length) },
    ],
    dataLocation: dataLocations.EXTERNAL,
  };
}

/** Each chunk's bytes, as copies, so that the source model can be let go of. */
function cut(plan: ChunkPlan, values: readonly Uint8Array[]): WeightPiece[] {
  const order = plan.offsets
    .map((offset, index) => ({ offset, bytes: values[index] ?? new Uint8Array(0) }))
    .sort((a, b) => a.offset - b.offset);
  let first = 0;
  return plan.chunks.map(({ offset, byteLength }) => {
    const end = offset + byteLength;
    const bytes = new Uint8Array(byteLength);
    for (let index = first; index < order.length; index += 1) {
      const value = order[index];
      if (value === undefined || value.offset >= end) {
        break;
      }
      const begin = Math.max(0, offset - value.offset);
      const part = value.bytes.subarray(begin, Math.min(value.bytes.byteLength, end - value.offset));
      bytes.set(part, value.offset + begin - offset);
      first = value.offset + value.bytes.byteLength > end ? index : index + 1;
    }
    return { offset, bytes };
  });
}

/**
 * The published form as one `.onnx` file again.
 *
 * @throws EdgewiseError `invalid_request` when the graph refers to weights that are not there.
 */
export function joinModel(
  graph: Uint8Array,
  weights: Uint8Array | undefined,
  path = weightsPath,
): Uint8Array<ArrayBuffer> {
  return encodeModel(
    inlineExternalData(decodeModel(graph), (location) => (location === path ? weights : undefined)),
  );
}

export function describeSplit({ graph, weights }: SplitModel): string {
  const outside =
    weights === undefined
      ? 'all weights in it'
      : `${weights.byteLength} bytes of weights in ${weights.pieces.length} chunks`;
  return `graph of ${graph.byteLength} bytes, ${outside}`;
}
