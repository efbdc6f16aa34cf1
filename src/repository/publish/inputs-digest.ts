import canonicalize from 'canonicalize';
import { EdgewiseError } from '../../errors.ts';
import { digestOf } from '../../storage/digest.ts';
import type { Digest } from '../../storage/types.ts';
import type { ModelConfig } from '../config-schema.ts';
import type { Terms } from '../terms.ts';

/** Changes when the same source would be published in another form. */
const publisherFormat = 'edgewise.publisher.v2';

export interface PublishInputs {
  readonly version: string;
  readonly config: ModelConfig;
  /** The terms as published: with the digest of the licence text, not the path of its file. */
  readonly terms: Terms;
  /** Output name → labels. */
  readonly labels: Readonly<Record<string, readonly string[]>>;
  /** Digests of `model.onnx` and of the files that it refers to. */
  readonly sourceDigests: readonly Digest[];
  readonly originOnly: boolean;
  /** Digests of the sample inputs; absent if there are none. */
  readonly samples?: readonly Digest[];
  /** Absent unless true, as in the manifest. */
  readonly random?: true | undefined;
}

/**
 * Returns a digest over everything that decides what is published, so that a push can tell at once that nothing has changed.
 * The version policy, which is part of the index, and the origin of the file are left out.
 */
export async function inputsDigestOf(inputs: PublishInputs): Promise<Digest> {
  const {
    $schema: _,
    versionPolicy: __,
    package: ___,
    labels: ____,
    terms: _____,
    edgePermitted,
    ...rest
  } = inputs.config;
  // Written only if it is false, as in the manifest.
  const config = edgePermitted ? rest : { ...rest, edgePermitted };
  const text = canonicalize({ format: publisherFormat, ...inputs, config });
  if (text === undefined) throw new EdgewiseError('internal', 'the inputs of a push have no JSON form');
  return digestOf(new TextEncoder().encode(text));
}
