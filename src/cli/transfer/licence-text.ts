import { readFile } from 'node:fs/promises';
import { EdgewiseError } from '../../errors.ts';

/** What a licence identifier of SPDX consists of: it becomes the name of a file. */
const idForm = /^[A-Za-z0-9][A-Za-z0-9.+-]{0,99}$/;

/**
 * Returns the text of a licence that SPDX lists, with year and holder in it where it has a place for them.
 *
 * @throws EdgewiseError `invalid_request` for one that SPDX does not list.
 */
export async function licenceText(spdx: string, creator: string, year: number): Promise<string> {
  let text: unknown;
  try {
    if (!idForm.test(spdx)) throw new Error('no identifier');
    const file = new URL(import.meta.resolve(`spdx-license-list/licenses/${spdx}.json`));
    text = JSON.parse(await readFile(file, 'utf8')).licenseText;
  } catch (cause) {
    throw unlisted(spdx, cause);
  }
  if (typeof text !== 'string') throw unlisted(spdx);
  return text
    .replaceAll(/<year>|\[year\]|\[yyyy\]/gi, String(year))
    .replaceAll(/<copyright holders?>|<owner>|\[fullname\]|\[name of copyright owner\]/gi, creator);
}

function unlisted(spdx: string, cause?: unknown): EdgewiseError {
  return new EdgewiseError(
    'invalid_request',
    `no text is known for the licence ${JSON.stringify(spdx.slice(0, 100))}: expected an identifier of https://spdx.org/licenses, or give the text with --licence-file`,
    { cause },
  );
}

/** The text of a model that nobody may use without a grant. */
export function closedText(creator: string, name: string, year: number): string {
  return `Copyright (c) ${year} ${creator}. All rights reserved.\n\nThe model "${name}" may be used only under a grant of ${creator}, within what that grant says.\n`;
}
