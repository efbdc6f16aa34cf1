/** Reads an `.onnx` file by range: its graph into memory, the values of its larger tensors as ranges of their files. */
import { EdgewiseError } from '../../errors.ts';
import type { ByteSource } from './byte-source.ts';
import { mapTensors, parseExternalRef, toStoredTensor } from './external.ts';
import { readOutline } from './outline.ts';
import { decodeModel } from './proto.ts';
import type { ModelProto, TensorProto } from './proto-types.ts';
import { isExternal, tensorLabel, typedFieldOf } from './tensor-data.ts';
import { scopesOf, tensorsOf } from './walk.ts';

/** The name of the file itself, which ranges of it have as their location. */
export const modelFileName = 'model.onnx';

export interface OpenedModel {
  /** Raw values of at least 1 KiB, and all values in other files, are `stored`. */
  readonly model: ModelProto;
  /** Location in the graph → the file beside the model that holds weights, in alphabetical order. */
  readonly files: ReadonlyMap<string, ByteSource>;
}

/**
 * @param open Returns a file beside the model; undefined if it does not exist.
 * @throws EdgewiseError `invalid_request` for a file that is not an ONNX model, a reference outside the folder, a missing
 * file, a range that does not fit the tensor's shape, or larger values in several parts; `too_large` as `readOutline`.
 */
export async function readModel(
  file: ByteSource,
  open: (location: string) => Promise<ByteSource | undefined>,
): Promise<OpenedModel> {
  const outline = await readOutline(file);
  let attachedCount = 0;
  const attached = mapTensors(decodeModel(outline.bytes), (tensor) => {
    const cut = tensor.rawData && outline.cuts.get(tensor.rawData.byteOffset);
    if (cut === undefined) return tensor;
    attachedCount += 1;
    const { rawData: _, ...rest } = tensor;
    const typed = typedFieldOf(tensor);
    const isOnly = cut.field === 'rawData' || (cut.field === typed && rest[cut.field] === undefined);
    if (!isOnly || isExternal(tensor)) throw severalPartsError(tensor);
    const { begin, byteLength } = cut;
    return { ...rest, stored: { location: modelFileName, file, begin, byteLength } };
  });
  if (attachedCount !== outline.cuts.size) throw severalPartsError({});
  const files = new Map<string, ByteSource>();
  for (const location of listExternalLocations(attached)) {
    const found = await open(location);
    if (found !== undefined) files.set(location, found);
  }
  return {
    model: mapTensors(attached, (tensor) => toStoredTensor(tensor, (name) => files.get(name))),
    files,
  };
}

function severalPartsError(tensor: TensorProto): EdgewiseError {
  return new EdgewiseError(
    'invalid_request',
    `${tensorLabel(tensor)} has its values in several parts, or in a field of another type; expected one field of its own type`,
  );
}

function listExternalLocations(model: ModelProto): string[] {
  const locations = new Set<string>();
  for (const scope of scopesOf(model)) {
    for (const tensor of tensorsOf(scope)) {
      if (isExternal(tensor)) locations.add(parseExternalRef(tensor).location);
    }
  }
  return [...locations].sort();
}
