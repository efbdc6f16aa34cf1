import { EdgewiseError } from '../../errors.ts';

const maxShown = 80;

/** A caller's name or text for a message: quoted, cut short. */
export function quote(text: string): string {
  return JSON.stringify(text.length > maxShown ? `${text.slice(0, maxShown)}…` : text);
}

/** What a JSON value is, without repeating what it holds; numbers are shown. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return 'a string';
  return value === undefined ? 'nothing' : 'an object';
}

export function invalid(message: string, cause?: unknown): EdgewiseError {
  return new EdgewiseError('invalid_request', message, { cause });
}

export function mismatch(message: string): EdgewiseError {
  return new EdgewiseError('shape_mismatch', message);
}
