/** The model as the publisher has it: decoded, checked, with the weights of other files put into it. */
import { digestOf } from '../../storage/digest.ts';
import type { Digest } from '../../storage/types.ts';
import { checkModel } from '../onnx/check.ts';
import { externalRef, inlineExternalData } from '../onnx/external.ts';
import { decodeModel, encodeModel } from '../onnx/proto.ts';
import type { ModelProto } from '../onnx/proto-types.ts';
import { drawsRandomNumbers } from '../onnx/random.ts';
import { isExternal } from '../onnx/tensor-data.ts';
import { scopesOf, tensorsOf } from '../onnx/walk.ts';
import type { Terms } from '../terms.ts';
import { inputsDigestOf } from './inputs-digest.ts';
import { readTerms } from './licence.ts';
import type { PackageInput, PackageOptions } from './types.ts';

export interface ModelFile {
  readonly model: ModelProto;
  /** One `.onnx` file with everything in it. */
  readonly bytes: Uint8Array;
  /** Of `model.onnx` as it was given. */
  readonly sourceDigest: Digest;
  /** See `inputsDigestOf`. */
  readonly inputsDigest: Digest;
  readonly terms: Terms;
  /** See `drawsRandomNumbers`. */
  readonly random: boolean;
}

type OriginChoice = Pick<PackageOptions, 'originOnly'>;

export function isOriginOnly({ config }: PackageInput, { originOnly }: OriginChoice): boolean {
  return originOnly === true || config.tier === 'origin' || !config.edgePermitted;
}

/**
 * @throws EdgewiseError `invalid_request` for a model that is corrupt or hostile: `checkModel`, `inlineExternalData`; and
 * for a licence text that nobody could read: `readTerms`.
 */
export async function readSource(input: PackageInput, options: OriginChoice): Promise<ModelFile> {
  const terms = await readTerms(input);
  const decoded = decodeModel(input.model);
  const locations = externalLocations(decoded);
  const files = new Map(locations.map((location) => [location, input.externalFile?.(location)]));
  const model =
    locations.length === 0 ? decoded : inlineExternalData(decoded, (location) => files.get(location));
  checkModel(model);
  const random = drawsRandomNumbers(model);
  const sourceDigest = await digestOf(input.model);
  const fileDigests = await Promise.all(
    [...files.values()].filter((bytes) => bytes !== undefined).map(digestOf),
  );
  const inputsDigest = await inputsDigestOf({
    version: input.version,
    config: input.config,
    terms,
    labels: input.labels,
    sourceDigests: [sourceDigest, ...fileDigests],
    originOnly: isOriginOnly(input, options),
    ...(random && { random }),
  });
  return {
    model,
    bytes: locations.length === 0 ? input.model : encodeModel(model),
    sourceDigest,
    inputsDigest,
    terms,
    random,
  };
}

function externalLocations(model: ModelProto): string[] {
  const locations = new Set<string>();
  for (const scope of scopesOf(model)) {
    for (const tensor of tensorsOf(scope)) {
      if (isExternal(tensor)) {
        locations.add(externalRef(tensor).location);
      }
    }
  }
  return [...locations].sort();
}
