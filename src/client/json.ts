import type { z } from 'zod';
import { checkDocument } from '../check-document.ts';
import { EdgewiseError } from '../errors.ts';

/** Reads a JSON answer of a known form. The reader throws EdgewiseError `origin_unavailable` for any other. */
export function jsonAnswer<S extends z.ZodType>(schema: S): (response: Response) => Promise<z.output<S>> {
  return async (response) => {
    const text = await response.text();
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch (error) {
      throw new EdgewiseError('origin_unavailable', `the server's answer is no JSON: ${text.slice(0, 80)}`, {
        cause: error,
      });
    }
    const checked = checkDocument(schema, body, { quoteText: false, whole: 'it' });
    if (!checked.success) {
      throw new EdgewiseError(
        'origin_unavailable',
        `the server's answer has another form than expected: ${checked.complaint}`,
      );
    }
    return checked.data;
  };
}

/** For answers whose body does not matter. */
export async function noAnswer(response: Response): Promise<void> {
  await response.body?.cancel();
}
