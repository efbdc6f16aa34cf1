import { describe, expect, it } from 'vitest';
import { errorCodes, isEdgewiseError } from '../../src/errors.ts';
import { statusOfCode } from '../../src/http/error-response.ts';
import { errorOfAnswer } from '../../src/routing/oip-errors.ts';
import { AttemptError } from '../../src/routing/types.ts';

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly isCallersDeadline?: boolean;
}

/** Returns `answer` for an error that goes to the caller, else the outcome; with the code, the message and Retry-After. */
function meaning({ status, headers = {}, body = '', isCallersDeadline = false }: Answer) {
  const thrown = errorOfAnswer({
    status,
    headers: new Headers(headers),
    text: typeof body === 'string' ? body : JSON.stringify(body),
    isCallersDeadline,
  });
  const error = thrown instanceof AttemptError ? thrown.error : thrown;
  return {
    outcome: thrown instanceof AttemptError ? thrown.outcome : 'answer',
    code: error.code,
    message: error.message,
    retryAfterSeconds: error.retryAfterSeconds,
    reason: error.cause instanceof Error ? error.cause.message : undefined,
  };
}

describe('errorOfAnswer()', () => {
  it.each<[string, Answer, object]>([
    [
      'Triton on a bad request',
      { status: 400, body: { error: 'unexpected shape for input' } },
      { outcome: 'answer', code: 'invalid_request', message: 'unexpected shape for input' },
    ],
    [
      'FastAPI on a bad body',
      {
        status: 422,
        body: { detail: [{ loc: ['body', 'inputs', 0, 'name'], msg: 'Field required', type: 'missing' }] },
      },
      { outcome: 'answer', code: 'invalid_request', message: 'body.inputs.0.name: Field required' },
    ],
    [
      'FastAPI with one text',
      { status: 400, body: { detail: 'Unsupported type' } },
      { outcome: 'answer', code: 'invalid_request', message: 'Unsupported type' },
    ],
    [
      'a bad request without a word',
      { status: 400 },
      { outcome: 'answer', code: 'invalid_request', message: 'the origin server refused the request' },
    ],
    [
      'a body that is too large',
      { status: 413, body: '<html>nginx' },
      { outcome: 'answer', code: 'too_large' },
    ],
    ['an unknown model', { status: 404, body: { error: 'Model m not found' } }, { outcome: 'lacks-model' }],
    [
      'an unknown model at an old Triton',
      { status: 400, body: { error: "Request for unknown model: 'm' is not found" } },
      { outcome: 'lacks-model' },
    ],
    [
      'an unavailable model at Triton',
      { status: 503, body: { error: "Request for unknown model: 'm' has no available versions" } },
      { outcome: 'lacks-model' },
    ],
    [
      'a model that loads at MLServer',
      { status: 400, body: { error: 'Model m is not ready yet.' } },
      { outcome: 'busy', code: 'model_not_ready' },
    ],
    [
      'a model that loads at Triton',
      { status: 400, body: { error: 'Model version not ready' } },
      { outcome: 'busy', code: 'model_not_ready' },
    ],
    [
      'a model that loads at KServe',
      { status: 503, body: { error: 'Model with name m is not ready.' } },
      { outcome: 'busy', code: 'model_not_ready' },
    ],
    ['a request timeout', { status: 408 }, { outcome: 'busy', code: 'overloaded' }],
    ['too early', { status: 425 }, { outcome: 'busy' }],
    [
      'too many requests',
      { status: 429, headers: { 'Retry-After': '7' } },
      { outcome: 'busy', code: 'overloaded', retryAfterSeconds: 7 },
    ],
    ['a redirect', { status: 302 }, { outcome: 'failure', code: 'origin_unavailable' }],
    ['a wrong key', { status: 401 }, { outcome: 'failure' }],
    ['a firewall that dislikes a body', { status: 403 }, { outcome: 'model-failure' }],
    ['a wrong verb', { status: 405 }, { outcome: 'failure' }],
    [
      'a failure',
      { status: 500, body: { error: 'CUDA out of memory on gpu-7' } },
      {
        outcome: 'model-failure',
        code: 'origin_unavailable',
        message: 'the origin server failed to answer this request',
        reason: 'answered 500, with a text of 27 characters',
      },
    ],
    [
      'versions in paths at KServe',
      { status: 501, body: { error: 'Model version not supported' } },
      { outcome: 'failure' },
    ],
    ['a gateway', { status: 502, body: '<html>' }, { outcome: 'failure', reason: 'answered 502' }],
    [
      'a server that drains',
      { status: 503, headers: { 'Retry-After': '2' } },
      { outcome: 'model-failure', retryAfterSeconds: 2 },
    ],
    ['a gateway that gave up', { status: 504 }, { outcome: 'model-failure' }],
  ])('classifies %s', (_, answer, meant) => {
    expect(meaning(answer)).toMatchObject(meant);
  });

  it.each(errorCodes)('classifies %s from an Edgewise origin', (code) => {
    const status = statusOfCode[code];
    const { outcome, ...error } = meaning({
      status,
      headers: { 'Edgewise-Error': code, 'Retry-After': '3' },
      body: { error: 'its words' },
    });
    const expected: Readonly<Record<string, string>> = {
      invalid_request: 'answer',
      shape_mismatch: 'answer',
      unsupported_datatype: 'answer',
      too_large: 'answer',
      overloaded: 'busy',
      quota_exceeded: 'busy',
      model_not_ready: 'busy',
      no_capacity: 'busy',
      model_not_found: 'lacks-model',
      version_not_found: 'lacks-model',
      unsupported_encoding: 'answer',
      body_timeout: 'answer',
      unauthenticated: 'failure',
      not_found: 'failure',
      method_not_allowed: 'failure',
    };
    expect(outcome).toBe(expected[code] ?? 'model-failure');
    if (outcome === 'answer') expect(error).toMatchObject({ code, message: 'its words' });
    else
      expect(error).toMatchObject({
        reason: `answered ${status} (${code}), with a text of 9 characters`,
        retryAfterSeconds: 3,
      });
    if (outcome !== 'answer') expect(error.message).not.toContain('its words');
  });

  it("lets another endpoint try after a deadline, unless it was all of the caller's time", () => {
    const late = { status: 504, headers: { 'Edgewise-Error': 'deadline_exceeded' } };
    expect(meaning(late)).toMatchObject({ outcome: 'model-failure' });
    expect(meaning({ ...late, isCallersDeadline: true })).toMatchObject({
      outcome: 'answer',
      code: 'deadline_exceeded',
    });
  });

  it('ignores a code that it does not know', () => {
    const answer = { status: 429, headers: { 'Edgewise-Error': 'quantum_flux' } };
    expect(meaning(answer)).toMatchObject({ outcome: 'busy', code: 'overloaded' });
  });

  it.each([
    [
      'a stack over lines',
      'Traceback:\n  File "x"\r\n\tboom\u0000\u001b[31m\u2028',
      'Traceback: File "x" boom [31m',
    ],
    ['a long text', 'x'.repeat(1000), 'x'.repeat(300)],
    ['no text', { message: 'an object' }, 'the origin server refused the request'],
    ['nothing but blanks', ' \n ', 'the origin server refused the request'],
  ])("keeps the caller's message short and on one line: %s", (_, said, message) => {
    const thrown = errorOfAnswer({
      status: 400,
      headers: new Headers(),
      text: JSON.stringify({ error: said }),
      isCallersDeadline: false,
    });
    expect(isEdgewiseError(thrown)).toBe(true);
    expect(thrown.message).toBe(message);
  });

  it.each([
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after': '120' }, 120],
    [{ 'retry-after-ms': '1500', 'retry-after': '9' }, 1.5],
    [{ 'retry-after': 'Tue, 24 Nov 2026 06:00:30 GMT', date: 'Tue, 24 Nov 2026 06:00:00 GMT' }, 30],
    [{ 'retry-after': 'Tue, 24 Nov 2026 06:00:30 GMT' }, undefined],
    [{ 'retry-after': 'Tue, 24 Nov 2026 05:00:00 GMT', date: 'Tue, 24 Nov 2026 06:00:00 GMT' }, undefined],
    [{ 'retry-after': 'soon' }, undefined],
    [{ 'retry-after': '-1' }, undefined],
  ])('reads %j as %s seconds', (headers, seconds) => {
    expect(meaning({ status: 429, headers }).retryAfterSeconds).toBe(seconds);
  });

  it('carries the load that the answer reports', () => {
    const thrown = errorOfAnswer({
      status: 429,
      headers: new Headers(),
      text: '',
      load: { utilisation: 1 },
      isCallersDeadline: false,
    });
    expect(thrown instanceof AttemptError && thrown.load).toEqual({ utilisation: 1 });
  });
});
