/** Exact decimal arithmetic for money. */
import { EdgewiseError } from '../../errors.ts';

const decimalForm = /^(0|[1-9][0-9]*)(?:\.([0-9]+))?$/;

/**
 * Returns `amount` times `units` with the number of fraction digits of `amount`. Nothing is rounded.
 *
 * @param amount A decimal such as `0.0004`.
 * @param units A whole number, at least 0.
 * @throws EdgewiseError `invalid_request`
 */
export function multiply(amount: string, units: number): string {
  const [, whole, fraction = ''] = decimalForm.exec(amount) ?? [];
  if (whole === undefined || !Number.isSafeInteger(units) || units < 0) {
    throw new EdgewiseError(
      'invalid_request',
      `${JSON.stringify(amount)} times ${units} cannot be computed; expected a decimal such as "0.0004" and a whole number`,
    );
  }
  const digits = String(BigInt(whole + fraction) * BigInt(units)).padStart(fraction.length + 1, '0');
  const point = digits.length - fraction.length;
  return fraction === '' ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`;
}
