import { EdgewiseError } from '../../errors.ts';
import type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto } from './proto-types.ts';
import { declaredBytes, isExternal, tensorLabel } from './tensor-data.ts';

/** The entries of `TensorProto.external_data` (docs/ExternalData.md of the ONNX project). */
export interface ExternalRef {
  /** Relative path, `/` between parts, no part `..`. */
  readonly location: string;
  readonly offset: number;
  /** Undefined: to the end of the file. */
  readonly length: number | undefined;
}

function wholeNumber(value: string | undefined): number | undefined {
  return value !== undefined && /^[0-9]{1,15}$/.test(value) ? Number(value) : undefined;
}

/**
 * Where the tensor's bytes stand.
 *
 * @throws EdgewiseError `invalid_request` for a location outside the model's folder (absolute, `..`, a drive, a
 * backslash) or an offset or length that is no whole number.
 */
export function externalRef(tensor: TensorProto): ExternalRef {
  const entries = new Map((tensor.externalData ?? []).map(({ key, value }) => [key, value]));
  const location = entries.get('location') ?? '';
  const outside =
    location === '' ||
    location.length > 400 ||
    /^[/~]|[\\:\0]/.test(location) ||
    location.split('/').some((part) => part === '..' || part === '');
  if (outside) {
    throw new EdgewiseError(
      'invalid_request',
      `${tensorLabel(tensor)} refers to the file ${JSON.stringify(location.slice(0, 200))}, wanted a relative path inside the model's folder`,
    );
  }
  const offset = entries.has('offset') ? wholeNumber(entries.get('offset')) : 0;
  const length = entries.has('length') ? wholeNumber(entries.get('length')) : undefined;
  if (offset === undefined || (entries.has('length') && length === undefined)) {
    throw new EdgewiseError(
      'invalid_request',
      `${tensorLabel(tensor)} has the offset ${JSON.stringify(entries.get('offset'))} and the length ${JSON.stringify(entries.get('length'))} in ${location}, wanted whole numbers`,
    );
  }
  return { location, offset, length };
}

/** The tensor with its bytes in `raw_data`, as a view of its file. */
export function inlineTensor(
  tensor: TensorProto,
  file: (location: string) => Uint8Array | undefined,
): TensorProto {
  if (!isExternal(tensor)) {
    return tensor;
  }
  const { location, offset, length } = externalRef(tensor);
  const bytes = file(location);
  if (bytes === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      `${tensorLabel(tensor)} refers to the file ${JSON.stringify(location)}, which is not there`,
    );
  }
  const wanted = declaredBytes(tensor) ?? 0;
  const present = Math.min(length ?? wanted, Math.max(0, bytes.byteLength - offset));
  if (present !== wanted) {
    throw new EdgewiseError(
      'invalid_request',
      `${tensorLabel(tensor)} of shape [${(tensor.dims ?? []).join(',')}] wants ${wanted} bytes, ${JSON.stringify(location)} gives ${present} from offset ${offset}`,
    );
  }
  const { externalData: _, dataLocation: __, ...rest } = tensor;
  return { ...rest, rawData: bytes.subarray(offset, offset + wanted) };
}

type TensorMap = (tensor: TensorProto) => TensorProto;

/** The model with every initializer and attribute tensor, in subgraphs and functions too, mapped. */
function mapTensors(model: ModelProto, map: TensorMap): ModelProto {
  return {
    ...model,
    ...(model.graph && { graph: mapGraph(model.graph, map) }),
    ...(model.functions && {
      functions: model.functions.map((body) => ({
        ...body,
        ...(body.node && { node: mapNodes(body.node, map) }),
      })),
    }),
  };
}

function mapGraph(graph: GraphProto, map: TensorMap): GraphProto {
  return {
    ...graph,
    ...(graph.initializer && { initializer: graph.initializer.map(map) }),
    ...(graph.node && { node: mapNodes(graph.node, map) }),
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
  };
}

/**
 * The model with the weights of other files put into it: what a push starts from, and what `split` takes apart again.
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
