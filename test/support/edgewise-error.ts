import { expect } from 'vitest';

/** Matches an EdgewiseError with this code, whose message contains `message`. */
export function code(expected: string, message = ''): unknown {
  return expect.objectContaining({ code: expected, message: expect.stringContaining(message) });
}
