import type { Bytes } from '../../bytes.ts';
import type { WeightSource } from '../../engine/types.ts';
import { type ChunkPlan, planChunks } from './chunk-plan.ts';
import { constantsToInitializers } from './constants.ts';
import { inlineExternalData, mapTensors, toExternalTensor } from './external.ts';
import { hoistInitializers } from './hoist.ts';
import { decodeModel, encodeModel } from './proto.ts';
import type { ModelProto, TensorProto } from './proto-types.ts';
import { checkByteLength, rawBytes, readBytes } from './tensor-data.ts';
import { scopesOf, tensorsOf } from './walk.ts';

/** The `location` under which a published graph refers to its weights. */
export const weightsPath = 'weights.bin';

/** Smaller initializers stay in the graph: shapes and the like, which are read while a model loads. */
export const minExternalBytes = 1024;

/** One chunk of the weights file. */
export interface WeightPiece {
  readonly offset: number;
  readonly byteLength: number;
  /** Reads the chunk, or its bytes `begin` to `end`, from the model's own files. Returns a copy. */
  read(begin?: number, end?: number): Promise<Bytes>;
}

export interface SplitModel {
  /** An `.onnx` file whose larger initializers are external data. */
  readonly graph: Bytes;
  /** Absent if every weight stays in the graph. */
  readonly weights?: {
    readonly path: string;
    readonly byteLength: number;
    readonly pieces: readonly WeightPiece[];
  };
}

/**
 * Moves initializers of at least 1 KiB out of the graph, those of subgraphs and Constant nodes included, and cuts them into
 * chunks by `planChunks`. Strings, sparse tensors and the values of other attributes stay. Reads the values
 * that stay, not those that it moves.
 *
 * @throws EdgewiseError `invalid_request` if a tensor's shape and data disagree.
 */
export async function splitModel(source: ModelProto): Promise<SplitModel> {
  const model = moveWeightsToMainGraph(source);
  const moved = listMovableWeights(model);
  if (moved.length === 0) {
    return { graph: encodeModel(await readStoredTensors(model)) };
  }
  const sizes = moved.map((tensor) => checkByteLength(tensor) ?? 0);
  const plan = planChunks(sizes);
  const references = new Map(
    moved.map((tensor, index) => [
      tensor,
      toExternalTensor(tensor, weightsPath, plan.offsets[index] ?? 0, sizes[index] ?? 0),
    ]),
  );
  return {
    graph: encodeModel(await readStoredTensors(withInitializers(model, references))),
    weights: { path: weightsPath, byteLength: plan.byteLength, pieces: cut(plan, moved.map(valuesOf)) },
  };
}

/**
 * Encodes the graph for an engine that reads the model's own files: it refers to weights where they are `stored`. Weights in
 * memory stay in the graph.
 */
export async function encodeGraphInPlace(source: ModelProto): Promise<Bytes> {
  const model = moveWeightsToMainGraph(source);
  const references = new Map<TensorProto, TensorProto>();
  for (const tensor of listMovableWeights(model)) {
    if (tensor.stored !== undefined) {
      const { location, begin, byteLength } = tensor.stored;
      references.set(tensor, toExternalTensor(tensor, location, begin, byteLength));
    }
  }
  return encodeModel(await readStoredTensors(withInitializers(model, references)));
}

/** Moves every initializer that can leave the graph into the model's main graph. */
export function moveWeightsToMainGraph(source: ModelProto): ModelProto {
  return hoistInitializers(constantsToInitializers(source, minExternalBytes), minExternalBytes);
}

function listMovableWeights(model: ModelProto): TensorProto[] {
  return (model.graph?.initializer ?? []).filter(
    (tensor) => (checkByteLength(tensor) ?? 0) >= minExternalBytes,
  );
}

function withInitializers(model: ModelProto, references: ReadonlyMap<TensorProto, TensorProto>): ModelProto {
  const initializer = model.graph?.initializer?.map((tensor) => references.get(tensor) ?? tensor);
  return { ...model, graph: { ...model.graph, ...(initializer && { initializer }) } };
}

/** Returns the model with the values of `stored` tensors read into it, as `encodeModel` needs them. */
export async function readStoredTensors(model: ModelProto): Promise<ModelProto> {
  const values = new Map<TensorProto, Uint8Array>();
  for (const scope of scopesOf(model)) {
    for (const tensor of tensorsOf(scope)) {
      const bytes = tensor.stored === undefined ? undefined : await readBytes(tensor);
      if (bytes !== undefined) values.set(tensor, bytes);
    }
  }
  if (values.size === 0) return model;
  return mapTensors(model, (tensor) => {
    const rawData = values.get(tensor);
    if (rawData === undefined) return tensor;
    const { stored: _, ...rest } = tensor;
    return { ...rest, rawData };
  });
}

/** The values of one initializer, from a range of a file or from memory. */
interface Values {
  readonly byteLength: number;
  /** Returns a copy. */
  read(begin: number, end: number): Promise<Bytes>;
}

function valuesOf(tensor: TensorProto): Values {
  const { stored } = tensor;
  if (stored === undefined) {
    const bytes = rawBytes(tensor) ?? new Uint8Array(0);
    return {
      byteLength: bytes.byteLength,
      read: async (begin, end) => new Uint8Array(bytes.subarray(begin, end)),
    };
  }
  return {
    byteLength: stored.byteLength,
    read: (begin, end) => stored.file.read(stored.begin + begin, stored.begin + end),
  };
}

/** The part of one initializer that is in a chunk. */
interface Part {
  readonly values: Values;
  /** Position of the initializer in the chunk; negative if it begins in an earlier chunk. */
  readonly at: number;
}

function cut(plan: ChunkPlan, values: readonly Values[]): WeightPiece[] {
  const order = plan.offsets
    .flatMap((offset, index) => {
      const value = values[index];
      return value === undefined ? [] : [{ offset, values: value }];
    })
    .sort((a, b) => a.offset - b.offset);
  let first = 0;
  return plan.chunks.map(({ offset, byteLength }) => {
    const end = offset + byteLength;
    const parts: Part[] = [];
    for (let index = first; index < order.length; index += 1) {
      const each = order[index];
      if (each === undefined || each.offset >= end) break;
      parts.push({ values: each.values, at: each.offset - offset });
      first = each.offset + each.values.byteLength > end ? index : index + 1;
    }
    return { offset, byteLength, read: (from = 0, to = byteLength) => readParts(parts, from, to) };
  });
}

/** Returns bytes `begin` to `end` of a chunk, with zeros between initializers. */
async function readParts(parts: readonly Part[], begin: number, end: number): Promise<Bytes> {
  const [only] = parts;
  if (
    only !== undefined &&
    parts.length === 1 &&
    only.at <= begin &&
    end <= only.at + only.values.byteLength
  ) {
    return only.values.read(begin - only.at, end - only.at);
  }
  const bytes = new Uint8Array(end - begin);
  for (const { values, at } of parts) {
    const from = Math.max(0, begin - at);
    const to = Math.min(values.byteLength, end - at);
    if (from < to) bytes.set(await values.read(from, to), at + from - begin);
  }
  return bytes;
}

/** Returns the weights as an engine reads them, one chunk in memory at a time. */
export function weightSource({ path, byteLength, pieces }: NonNullable<SplitModel['weights']>): WeightSource {
  return {
    path,
    byteLength,
    async *read(begin, end) {
      for (const piece of pieces) {
        if (piece.offset < end && piece.offset + piece.byteLength > begin) {
          yield await piece.read(
            Math.max(0, begin - piece.offset),
            Math.min(piece.byteLength, end - piece.offset),
          );
        }
      }
    },
  };
}

/** Reads the weights into one array. */
export async function weightBytes({
  byteLength,
  pieces,
}: NonNullable<SplitModel['weights']>): Promise<Bytes> {
  const whole = new Uint8Array(byteLength);
  for (const piece of pieces) whole.set(await piece.read(), piece.offset);
  return whole;
}

/**
 * Joins a published graph and its weights into one `.onnx` file.
 *
 * @throws EdgewiseError `invalid_request` if the graph refers to weights that were not given.
 */
export function joinModel(graph: Uint8Array, weights: Uint8Array | undefined, path = weightsPath): Bytes {
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
