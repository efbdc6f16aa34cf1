import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { digestOf } from '../../storage/digest.ts';
import { maxLicenceBytes, type Terms, toPublishedTerms } from '../terms.ts';
import type { PackageInput } from './types.ts';

/**
 * Returns the terms as they are published, with the digest of the licence text.
 *
 * @throws EdgewiseError `invalid_request` for a text that is empty, too long, or not UTF-8: tenants have to be able to read
 * what they accept.
 */
export async function readTerms({ config, licenceText }: PackageInput): Promise<Terms> {
  const { file } = config.terms.licence;
  const problem = findProblem(licenceText);
  if (problem !== undefined) {
    throw new EdgewiseError(
      'invalid_request',
      `the licence text of ${config.name}, ${file} (terms.licence.file), ${problem}`,
    );
  }
  return toPublishedTerms(config.terms, {
    digest: await digestOf(licenceText),
    byteLength: licenceText.byteLength,
  });
}

function findProblem(text: Bytes): string | undefined {
  if (text.byteLength > maxLicenceBytes) {
    return `has ${text.byteLength} bytes; expected at most ${maxLicenceBytes}`;
  }
  try {
    const decoded = new TextDecoder('utf-8', { fatal: true }).decode(text);
    return decoded.trim() === '' ? 'is empty; expected the text of the licence' : undefined;
  } catch {
    return 'is not UTF-8; expected text';
  }
}
