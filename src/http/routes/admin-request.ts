/** What the admin routes read of a request. */
import type { z } from 'zod';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { checkModelName, isAliasName } from '../../repository/name.ts';
import { readBody } from '../body/request-body.ts';
import type { AppContext } from '../context.ts';

/** The repository keeps manifests of twice this in memory, so none of them is read anew for every request. */
const maxDocumentBytes = 1024 * 1024;

/** @throws EdgewiseError `invalid_request` */
export function nameOf(c: AppContext): string {
  return checkModelName(c.req.param('name') ?? '');
}

/** @throws EdgewiseError `invalid_request` */
export function aliasOf(c: AppContext): string {
  const alias = c.req.param('alias') ?? '';
  if (!isAliasName(alias)) {
    throw new EdgewiseError(
      'invalid_request',
      `alias ${JSON.stringify(alias.slice(0, 100))} is not usable, wanted lower-case letters, digits and dashes`,
    );
  }
  return alias;
}

/** @throws EdgewiseError `invalid_request` naming the fields that are not as expected. */
export async function readDocument<S extends z.ZodType>(c: AppContext, schema: S): Promise<z.output<S>> {
  const body = await readBody(c, {
    maxBytes: maxDocumentBytes,
    maxDecompressedBytes: maxDocumentBytes,
  });
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder().decode(body));
  } catch (error) {
    throw new EdgewiseError('invalid_request', 'the body is not JSON', { cause: error });
  }
  const checked = checkDocument(schema, document, { quoteText: false, whole: 'it' });
  if (!checked.success)
    throw new EdgewiseError('invalid_request', `the body is not usable: ${checked.complaint}`);
  return checked.data;
}
