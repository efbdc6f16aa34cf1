import { EdgewiseError } from '../../errors.ts';
import { quoteName } from '../name.ts';
import type { ByteSource } from './byte-source.ts';
import {
  type AttributeProto,
  dataLocations,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type SparseTensorProto,
  type TensorProto,
} from './proto-types.ts';
import { declaredBytes, isExternal, tensorLabel, typedFieldOf } from './tensor-data.ts';

/** The entries of `TensorProto.external_data` (docs/ExternalData.md of the ONNX project). */
export interface ExternalRef {
  /** Relative path with `/` between its parts and no part `..`. */
  readonly location: string;
  readonly offset: number;
  /** Undefined: up to the end of the file. */
  readonly length: number | undefined;
}

function parseWholeNumber(value: string | undefined): number | undefined {
  return value !== undefined && /^[0-9]{1,15}$/.test(value) ? Number(value) : undefined;
}

/**
 * Returns where the tensor's bytes are stored.
 *
 * @throws EdgewiseError `invalid_request` for a location outside the model's folder (absolute, `..`, a drive, a
 * backslash) or an offset or length that is not a whole number.
 */
export function parseExternalRef(tensor: TensorProto): ExternalRef {
  const entries = new Map((tensor.externalData ?? []).map(({ key, value }) => [key, value]));
  const location = entries.get('location') ?? '';
  const isOutside =
    location === '' ||
    location.length > 400 ||
    /^[/~]|[\\:\0]/.test(location) ||
    location.split('/').some((part) => part === '..' || part === '');
  if (isOutside) {
    throw new EdgewiseError(
      'invalid_request',
      `${tensorLabel(tensor)} refers to the file ${quoteName(location, 200)}; expected a relative path inside the model's folder`,
    );
  }
  const offset = entries.has('offset') ? parseWholeNumber(entries.get('offset')) : 0;
  const length = entries.has('length') ? parseWholeNumber(entries.get('length')) : undefined;
  if (offset === undefined || (entries.has('length') && length === undefined)) {
    throw new EdgewiseError(
      'invalid_request',
      `${tensorLabel(tensor)} has the offset ${JSON.stringify(entries.get('offset'))} and the length ${JSON.stringify(entries.get('length'))} in ${location}; expected whole numbers`,
    );
  }
  return { location, offset, length };
}

/** Returns the bytes `begin` to `end` of the file that an external tensor refers to, checked against its shape. */
function resolveRange(tensor: TensorProto, fileBytes: number | undefined): { begin: number; end: number } {
  const { location, offset, length } = parseExternalRef(tensor);
  if (fileBytes === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      `${tensorLabel(tensor)} refers to the file ${JSON.stringify(location)}, which does not exist`,
    );
  }
  const expected = declaredBytes(tensor) ?? 0;
  const present = Math.min(length ?? expected, Math.max(0, fileBytes - offset));
  if (present !== expected) {
    throw new EdgewiseError(
      'invalid_request',
      `${tensorLabel(tensor)} of shape [${(tensor.dims ?? []).join(',')}] declares ${expected} bytes, but ${JSON.stringify(location)} has ${present} from offset ${offset}`,
    );
  }
  return { begin: offset, end: offset + expected };
}

/** Returns the tensor with its bytes in `raw_data`, as a view of its file. */
export function inlineTensor(
  tensor: TensorProto,
  file: (location: string) => Uint8Array | undefined,
): TensorProto {
  if (!isExternal(tensor)) return tensor;
  const bytes = file(parseExternalRef(tensor).location);
  const { begin, end } = resolveRange(tensor, bytes?.byteLength);
  const { externalData: _, dataLocation: __, ...rest } = tensor;
  return { ...rest, rawData: bytes?.subarray(begin, end) ?? new Uint8Array(0) };
}

/** Returns the tensor with a range of its file in place of the reference. */
export function toStoredTensor(
  tensor: TensorProto,
  file: (location: string) => ByteSource | undefined,
): TensorProto {
  if (!isExternal(tensor)) return tensor;
  const field = typedFieldOf(tensor);
  if (tensor.rawData !== undefined || (field !== undefined && tensor[field] !== undefined)) {
    throw new EdgewiseError(
      'invalid_request',
      `${tensorLabel(tensor)} has values in the model and also refers to a file for them; expected one of the two`,
    );
  }
  const { location } = parseExternalRef(tensor);
  const found = file(location);
  const { begin, end } = resolveRange(tensor, found?.byteLength);
  const { externalData: _, dataLocation: __, ...rest } = tensor;
  return found === undefined
    ? rest
    : { ...rest, stored: { location, file: found, begin, byteLength: end - begin } };
}

/** Returns the tensor with its values in a file beside the graph. */
export function toExternalTensor(
  tensor: TensorProto,
  location: string,
  offset: number,
  length: number,
): TensorProto {
  const { stored: _, rawData: __, floatData, doubleData, int32Data, int64Data, uint64Data, ...rest } = tensor;
  return {
    ...rest,
    externalData: [
      { key: 'location', value: location },
      { key: 'offset', value: String(offset) },
      { key: 'length', value: String(length) },
    ],
    dataLocation: dataLocations.EXTERNAL,
  };
}

type TensorMap = (tensor: TensorProto) => TensorProto;

/** Returns the model with every tensor mapped, those of subgraphs, functions and training graphs included. */
export function mapTensors(model: ModelProto, map: TensorMap): ModelProto {
  return {
    ...model,
    ...(model.graph && { graph: mapGraph(model.graph, map) }),
    ...(model.functions && {
      functions: model.functions.map((body) => ({
        ...body,
        ...(body.node && { node: mapNodes(body.node, map) }),
        ...(body.attributeProto && {
          attributeProto: body.attributeProto.map((value) => mapAttribute(value, map)),
        }),
      })),
    }),
    ...(model.trainingInfo && {
      trainingInfo: model.trainingInfo.map((info) => ({
        ...info,
        ...(info.initialization && { initialization: mapGraph(info.initialization, map) }),
        ...(info.algorithm && { algorithm: mapGraph(info.algorithm, map) }),
      })),
    }),
  };
}

function mapGraph(graph: GraphProto, map: TensorMap): GraphProto {
  return {
    ...graph,
    ...(graph.initializer && { initializer: graph.initializer.map(map) }),
    ...(graph.sparseInitializer && {
      sparseInitializer: graph.sparseInitializer.map((sparse) => mapSparse(sparse, map)),
    }),
    ...(graph.node && { node: mapNodes(graph.node, map) }),
  };
}

function mapSparse(sparse: SparseTensorProto, map: TensorMap): SparseTensorProto {
  return {
    ...sparse,
    ...(sparse.values && { values: map(sparse.values) }),
    ...(sparse.indices && { indices: map(sparse.indices) }),
  };
}

function mapNodes(nodes: readonly NodeProto[], map: TensorMap): NodeProto[] {
  return nodes.map((node) =>
    node.attribute === undefined
      ? node
      : { ...node, attribute: node.attribute.map((value) => mapAttribute(value, map)) },
  );
}

function mapAttribute(attribute: AttributeProto, map: TensorMap): AttributeProto {
  return {
    ...attribute,
    ...(attribute.t && { t: map(attribute.t) }),
    ...(attribute.tensors && { tensors: attribute.tensors.map(map) }),
    ...(attribute.g && { g: mapGraph(attribute.g, map) }),
    ...(attribute.graphs && { graphs: attribute.graphs.map((graph) => mapGraph(graph, map)) }),
    ...(attribute.sparseTensor && { sparseTensor: mapSparse(attribute.sparseTensor, map) }),
    ...(attribute.sparseTensors && {
      sparseTensors: attribute.sparseTensors.map((sparse) => mapSparse(sparse, map)),
    }),
  };
}

/**
 * Returns the model with the weights from other files put into it, the opposite of `splitModel`.
 *
 * @throws EdgewiseError `invalid_request` for a reference outside the folder, a missing file, or a range that does not fit
 * the tensor's shape.
 */
export function inlineExternalData(
  model: ModelProto,
  file: (location: string) => Uint8Array | undefined,
): ModelProto {
  return mapTensors(model, (tensor) => inlineTensor(tensor, file));
}
