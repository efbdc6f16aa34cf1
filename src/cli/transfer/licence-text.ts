/** Licence texts for `edgewise model init`. */
import { readFile } from 'node:fs/promises';
import { EdgewiseError } from '../../errors.ts';

/** An SPDX licence identifier. It becomes part of a file name. */
const idForm = /^[A-Za-z0-9][A-Za-z0-9.+-]{0,99}$/;

/**
 * Returns the text of a licence of the SPDX list, with year and holder filled in where the text has places for them.
 *
 * @throws EdgewiseError `invalid_request` for an identifier that is not on the list.
 */
export async function licenceText(spdx: string, creator: string, year: number): Promise<string> {
  let text: unknown;
  try {
    if (!idForm.test(spdx)) throw new Error('not an SPDX identifier');
    const file = new URL(import.meta.resolve(`spdx-license-list/licenses/${spdx}.json`));
    text = JSON.parse(await readFile(file, 'utf8')).licenseText;
  } catch (cause) {
    throw unknownLicence(spdx, cause);
  }
  if (typeof text !== 'string') throw unknownLicence(spdx);
  return text
    .replaceAll(/<year>|\[year\]|\[yyyy\]/gi, String(year))
    .replaceAll(/<copyright holders?>|<owner>|\[fullname\]|\[name of copyright owner\]/gi, creator);
}

function unknownLicence(spdx: string, cause?: unknown): EdgewiseError {
  return new EdgewiseError(
    'invalid_request',
    `there is no text for the licence ${JSON.stringify(spdx.slice(0, 100))}: expected an identifier of https://spdx.org/licenses, or give the text with --licence-file`,
    { cause },
  );
}

/** Returns the licence text of a model that needs a grant for every use. */
export function closedText(creator: string, name: string, year: number): string {
  return `Copyright (c) ${year} ${creator}. All rights reserved.\n\nThe model "${name}" may be used only under a grant of ${creator}, within the limits of that grant.\n`;
}
