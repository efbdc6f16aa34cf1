/** Terms for test models: they permit everything to every caller, unless a test overrides them. */
import {
  type SourceTerms,
  sourceTermsSchema,
  type Terms,
  termsSchema,
  toPublishedTerms,
} from '../../src/repository/terms.ts';
import type { Digest } from '../../src/storage/types.ts';

export const licenceFile = 'LICENSE';
export const licenceText = 'May be used for testing.\n';
export const licenceBytes = new Uint8Array(new TextEncoder().encode(licenceText));
export const licenceDigest: Digest =
  'sha256:6e525204b958c816bfe0301f85eefe1908bb02eb8b2662a25d76d589658883ef';

/** The terms as in `config.json`; their text goes into `licenceFile` beside it. */
export const openSourceTerms = {
  creator: { name: 'The Edgewise authors' },
  licence: { spdx: 'Apache-2.0', file: licenceFile, acceptance: 'not-required' },
  grant: 'not-required',
  anonymous: true,
  trainingData: { statement: 'None: made for a test.', personalData: 'none' },
} satisfies Record<string, unknown>;

export function sourceTermsOf(changes: Record<string, unknown> = {}): SourceTerms {
  return sourceTermsSchema.parse({ ...openSourceTerms, ...changes });
}

/** Returns `openTerms` with changes. @throws ZodError if the terms are contradictory. */
export function termsOf(changes: Partial<Terms> = {}): Terms {
  return termsSchema.parse({ ...openTerms, ...changes });
}

/** The terms as in a manifest. */
export const openTerms: Terms = toPublishedTerms(sourceTermsOf(), {
  digest: licenceDigest,
  byteLength: licenceBytes.byteLength,
});
