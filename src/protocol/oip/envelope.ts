import type { z } from 'zod';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import { invalid } from './fail.ts';
import { parseJson } from './json-text.ts';

/** The JSON of a control request, checked; an empty body stands for `{}`. @throws EdgewiseError `invalid_request` */
export function parseControlBody<S extends z.ZodType>(body: Uint8Array, schema: S, what: string): z.infer<S> {
  const value = body.byteLength === 0 ? {} : parseJson(body, what).value;
  const result = schema.safeParse(value);
  if (!result.success) throw invalid(`${what} is not usable: ${firstIssue(result.error)}`);
  return result.data;
}

/** The JSON of another server's answer, checked. @throws EdgewiseError `origin_unavailable` */
export function parseAnswerBody<S extends z.ZodType>(body: Uint8Array, schema: S, what: string): z.infer<S> {
  try {
    return parseControlBody(body, schema, what);
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    throw new EdgewiseError('origin_unavailable', error.message, { cause: error });
  }
}

function firstIssue({ issues }: z.core.$ZodError): string {
  const [issue] = issues;
  if (issue === undefined) return 'it does not fit';
  return issue.path.length === 0 ? issue.message : `${issue.path.join('.')}: ${issue.message}`;
}
