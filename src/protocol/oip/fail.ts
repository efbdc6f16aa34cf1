import { EdgewiseError } from '../../errors.ts';

const maxShown = 80;

/** Quotes a caller's name or text for a message, cut to 80 characters. */
export function quote(text: string): string {
  return JSON.stringify(text.length > maxShown ? `${text.slice(0, maxShown)}…` : text);
}

/** Describes a JSON value for a message without repeating its content; only numbers and booleans are shown. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return 'a string';
  return value === undefined ? 'missing' : 'an object';
}

export function invalid(message: string, cause?: unknown): EdgewiseError {
  return new EdgewiseError('invalid_request', message, { cause });
}

export function mismatch(message: string): EdgewiseError {
  return new EdgewiseError('shape_mismatch', message);
}
