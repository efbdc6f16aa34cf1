/** Reads the publisher's model: decodes and checks the graph, and leaves the weights in their files. */
import { digestOf } from '../../storage/digest.ts';
import type { Digest } from '../../storage/types.ts';
import { checkModel } from '../onnx/check.ts';
import type { ModelProto } from '../onnx/proto-types.ts';
import { drawsRandomNumbers } from '../onnx/random.ts';
import { readModel } from '../onnx/read-model.ts';
import type { Terms } from '../terms.ts';
import { inputsDigestOf } from './inputs-digest.ts';
import { readTerms } from './licence.ts';
import type { PackageInput, PackageOptions } from './types.ts';

export interface ModelFile {
  /** As `readModel` returns it: values of larger tensors are `stored`. */
  readonly model: ModelProto;
  /** Digest of `model.onnx`, unchanged. */
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
 * @throws EdgewiseError `invalid_request` for a model that is corrupt or hostile, as `readModel` and `checkModel`; for an
 * unusable licence text, as `readTerms`.
 */
export async function readSource(input: PackageInput, options: OriginChoice): Promise<ModelFile> {
  const terms = await readTerms(input);
  const { model, files } = await readModel(input.model, async (location) => input.externalFile?.(location));
  checkModel(model);
  const random = drawsRandomNumbers(model);
  const sourceDigest = await input.model.digest();
  const fileDigests: Digest[] = [];
  for (const file of files.values()) fileDigests.push(await file.digest());
  const samples = await Promise.all((input.samples ?? []).map(({ bytes }) => digestOf(bytes)));
  const inputsDigest = await inputsDigestOf({
    version: input.version,
    config: input.config,
    terms,
    labels: input.labels,
    sourceDigests: [sourceDigest, ...fileDigests],
    originOnly: isOriginOnly(input, options),
    ...(random && { random }),
    ...(samples.length > 0 && { samples }),
  });
  return { model, sourceDigest, inputsDigest, terms, random };
}
