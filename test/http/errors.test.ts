import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EdgewiseError, errorCodes } from '../../src/errors.ts';
import { oipErrorResponse, statusOfCode, toHttpError } from '../../src/http/error-response.ts';

describe('toHttpError()', () => {
  it('maps every code as docs/errors.md says', () => {
    const documented = new Map<string, number>();
    for (const row of readFileSync('docs/errors.md', 'utf8').matchAll(/^\| (`.*?) \| (\d{3}) \|/gm)) {
      for (const code of (row[1] ?? '').matchAll(/`(\w+)`/g)) {
        documented.set(code[1] ?? '', Number(row[2]));
      }
    }
    expect(Object.fromEntries(documented)).toEqual(statusOfCode);
    expect([...documented.keys()].sort()).toEqual([...errorCodes].sort());
  });

  it('hides internal details of a server error', () => {
    const { message, status } = toHttpError(new Error('cannot reach 10.0.0.7: secret'));
    expect(status).toBe(500);
    expect(message).not.toContain('10.0.0.7');
    expect(toHttpError(new EdgewiseError('digest_mismatch', 'blob abc in kv')).message).not.toContain('kv');
  });

  it('gives a whole number of seconds for every retryable error', () => {
    expect(
      toHttpError(new EdgewiseError('overloaded', 'busy', { retryAfterSeconds: 1.2 })).headers['Retry-After'],
    ).toBe('2');
    expect(toHttpError(new EdgewiseError('no_capacity', 'full')).headers['Retry-After']).toBe('1');
    expect(toHttpError(new EdgewiseError('invalid_request', 'no')).headers['Retry-After']).toBeUndefined();
  });

  it('answers with an error field alone and the code in a header', async () => {
    const answer = oipErrorResponse(new EdgewiseError('model_not_found', 'model "x" is not published here'));
    expect(answer.status).toBe(404);
    expect(answer.headers.get('Edgewise-Error')).toBe('model_not_found');
    expect(await answer.json()).toEqual({ error: 'model "x" is not published here' });
  });
});
