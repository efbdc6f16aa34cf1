import { EdgewiseError } from '../../errors.ts';
import { digestOf } from '../../storage/digest.ts';
import { maxLicenceBytes, type Terms, toPublishedTerms } from '../terms.ts';
import type { PackageInput } from './types.ts';

/**
 * The terms as they are published, with the digest of the licence text.
 *
 * @throws EdgewiseError `invalid_request` for a text that is empty, too long, or no UTF-8: it is shown to who is to accept it.
 */
export async function readTerms({ config, licenceText }: PackageInput): Promise<Terms> {
  const { file } = config.terms.licence;
  const wrong = complaintOf(licenceText);
  if (wrong !== undefined) {
    throw new EdgewiseError(
      'invalid_request',
      `the licence text of ${config.name}, ${file} (terms.licence.file), ${wrong}`,
    );
  }
  return toPublishedTerms(config.terms, {
    digest: await digestOf(licenceText),
    byteLength: licenceText.byteLength,
  });
}

function complaintOf(text: Uint8Array<ArrayBuffer>): string | undefined {
  if (text.byteLength > maxLicenceBytes) {
    return `has ${text.byteLength} bytes, wanted at most ${maxLicenceBytes}`;
  }
  try {
    const decoded = new TextDecoder('utf-8', { fatal: true }).decode(text);
    return decoded.trim() === '' ? 'is empty, wanted the text itself' : undefined;
  } catch {
    return 'is no UTF-8, wanted text';
  }
}
