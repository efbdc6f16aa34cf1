import type { z } from 'zod';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import { invalid } from './fail.ts';
import { parseJson } from './json-text.ts';

/** Parses and checks the JSON of a control request; an empty body means `{}`. @throws EdgewiseError `invalid_request` */
export function parseControlBody<S extends z.ZodType>(body: Uint8Array, schema: S, what: string): z.infer<S> {
  const value = body.byteLength === 0 ? {} : parseJson(body, what).value;
  const checked = checkDocument(schema, value, { quoteText: false, maxListed: 1, whole: 'it' });
  if (!checked.success) throw invalid(`${what} is not usable: ${checked.complaint}`);
  return checked.data;
}

/** As `parseControlBody`, for the answer of another server. @throws EdgewiseError `origin_unavailable` */
export function parseAnswerBody<S extends z.ZodType>(body: Uint8Array, schema: S, what: string): z.infer<S> {
  try {
    return parseControlBody(body, schema, what);
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    throw new EdgewiseError('origin_unavailable', error.message, { cause: error });
  }
}
