/** What a request is for, as its caller declares it. */
import { EdgewiseError } from '../../errors.ts';
import { purposeSchema } from '../../repository/terms.ts';

export const purposeHeader = 'Edgewise-Purpose';

/**
 * @param value Of the header; undefined: none was sent.
 * @throws EdgewiseError `invalid_request` for what is no purpose, several of them among it: a request is for one.
 */
export function declaredPurpose(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (!purposeSchema.safeParse(value).success) {
    throw new EdgewiseError(
      'invalid_request',
      `${purposeHeader} is not usable, wanted one purpose of lower-case letters, digits and dashes, such as "research"`,
    );
  }
  return value;
}
