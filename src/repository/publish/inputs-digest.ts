import canonicalize from 'canonicalize';
import { EdgewiseError } from '../../errors.ts';
import { digestOf } from '../../storage/digest.ts';
import type { Digest } from '../../storage/types.ts';
import type { ModelConfig } from '../config-schema.ts';
import type { Terms } from '../terms.ts';

/** Raised when the same source would be published in another form. */
const publisherFormat = 'edgewise.publisher.v2';

export interface PublishInputs {
  readonly version: string;
  readonly config: ModelConfig;
  /** As published: with the digest of the licence text, wherever the file stood. */
  readonly terms: Terms;
  /** Output name → labels. */
  readonly labels: Readonly<Record<string, readonly string[]>>;
  /** Of `model.onnx`, and of the files that it refers to. */
  readonly sourceDigests: readonly Digest[];
  readonly originOnly: boolean;
  /** Of its sample inputs; said only where there are some. */
  readonly samples?: readonly Digest[];
  /** Said only where it is so, as in the manifest. */
  readonly random?: true | undefined;
}

/**
 * Names everything that decides what is published, so that a push can tell that nothing has changed before it works.
 * What lives in the index (the version policy) and where the file came from are left out.
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
  // Said only where it is false, as in the manifest.
  const config = edgePermitted ? rest : { ...rest, edgePermitted };
  const text = canonicalize({ format: publisherFormat, ...inputs, config });
  if (text === undefined) {
    throw new EdgewiseError('internal', 'the inputs of a push cannot be said in JSON');
  }
  return digestOf(new TextEncoder().encode(text));
}
