/** Classifies an endpoint's error answer: another endpoint may succeed, or the error is returned to the caller. */
import { EdgewiseError, type ErrorCode, errorCodes } from '../errors.ts';
import { type LoadReport, loadReportOf } from '../protocol/load-report.ts';
import { readAnswer } from './endpoint-request.ts';
import { AttemptError } from './types.ts';

export interface RefusedAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** The body; empty if it is too large to read. */
  readonly text: string;
  readonly load?: LoadReport | undefined;
  /** Whether the endpoint was given all of the caller's time. */
  readonly isCallersDeadline: boolean;
}

/** `caller`: the request is at fault and would fail anywhere. `deadline`: out of time. The others: `AttemptError.outcome`. */
export type AnswerVerdict = 'caller' | 'deadline' | AttemptError['outcome'];

/** Verdicts for an Edgewise origin, which names its code in `Edgewise-Error`. */
const verdictOfCode: { readonly [C in ErrorCode]: AnswerVerdict } = {
  invalid_request: 'caller',
  shape_mismatch: 'caller',
  unsupported_datatype: 'caller',
  too_large: 'caller',
  // The caller determines the pace of the body.
  body_timeout: 'caller',
  overloaded: 'busy',
  quota_exceeded: 'busy',
  model_not_ready: 'busy',
  no_capacity: 'busy',
  model_not_found: 'lacks-model',
  version_not_found: 'lacks-model',
  deadline_exceeded: 'deadline',
  // A streamed body is passed on in the caller's encoding.
  unsupported_encoding: 'caller',
  // Our key is unknown at the origin, or the origin does not know our request.
  unauthenticated: 'failure',
  not_found: 'failure',
  method_not_allowed: 'failure',
  // The caller's rights were checked here: an origin that refuses is configured to refuse us this model.
  forbidden: 'model-failure',
  licence_not_accepted: 'model-failure',
  licence_reacceptance_required: 'model-failure',
  grant_expired: 'model-failure',
  grant_missing: 'model-failure',
  grant_revoked: 'model-failure',
  model_stopped: 'model-failure',
  policy_refused: 'model-failure',
  purpose_not_allowed: 'model-failure',
  territory_not_allowed: 'model-failure',
  residency_unavailable: 'model-failure',
  conflict: 'model-failure',
  // An origin with a pool of its own, or one whose store holds wrong bytes of this model.
  origin_unavailable: 'model-failure',
  records_unavailable: 'model-failure',
  storage_full: 'model-failure',
  digest_mismatch: 'model-failure',
  signature_invalid: 'model-failure',
  internal: 'model-failure',
};

/** Texts of Triton (400, 404, 503) for a model that it does not have, and of MLServer and KServe for one that is not ready. */
const unknownModel = /^Request for unknown model\b/;
const modelNotReady = /^Model (version not ready\b|(with name )?\S+( with version \S+)? is not ready)/;

const maxShown = 300;

/** Largest body of an error answer that is read. */
const maxErrorBytes = 64 * 1024;

/**
 * Reads the body of an error answer. Returns the error to throw for it.
 *
 * @param signal The signal of the exchange.
 * @param isCallersDeadline Whether the endpoint was given all of the caller's time.
 */
export async function refusalOf(
  response: Response,
  signal: AbortSignal,
  isCallersDeadline: boolean,
): Promise<AttemptError | EdgewiseError> {
  const { status, headers } = response;
  const body = await readAnswer(response, maxErrorBytes, signal);
  const text = body === undefined ? '' : new TextDecoder().decode(body);
  return errorOfAnswer({ status, headers, text, load: loadReportOf(headers), isCallersDeadline });
}

/** Returns the error to throw for the answer. */
export function errorOfAnswer(answer: RefusedAnswer): AttemptError | EdgewiseError {
  const { status, headers, load } = answer;
  const code = ownCode(headers);
  const text = errorText(answer.text);
  // The log must not hold content of a request, and servers quote it in their errors: only the text's length is logged.
  const reason = `answered ${status}${code === undefined ? '' : ` (${code})`}${text === undefined ? '' : `, with a text of ${text.length} characters`}`;
  const seconds = retryAfterSeconds(headers);
  const options = {
    cause: new Error(reason),
    ...(seconds === undefined ? undefined : { retryAfterSeconds: seconds }),
  };
  const verdict = code === undefined ? verdictOfStatus(status, text) : verdictOfCode[code];
  switch (verdict) {
    case 'caller':
      return new EdgewiseError(code ?? codeOfStatus(status), text ?? 'the origin server refused the request');
    case 'deadline': {
      const late = new EdgewiseError('deadline_exceeded', 'the request did not finish in time', options);
      return answer.isCallersDeadline ? late : new AttemptError('model-failure', late, load);
    }
    case 'busy':
      return new AttemptError(
        'busy',
        new EdgewiseError(code ?? busyCode(text), 'the origin server is busy', options),
        load,
      );
    case 'lacks-model':
      return new AttemptError(
        'lacks-model',
        new EdgewiseError('origin_unavailable', 'no origin server has the model', options),
        load,
      );
    case 'failure':
    case 'model-failure':
    case 'unclear':
      return new AttemptError(
        verdict,
        new EdgewiseError('origin_unavailable', 'the origin server failed to answer this request', options),
        load,
      );
  }
}

function ownCode(headers: Headers): ErrorCode | undefined {
  const named = headers.get('Edgewise-Error');
  return errorCodes.find((known) => known === named);
}

/** A server that loads one model may accept requests for others. */
function busyCode(text: string | undefined): ErrorCode {
  return text !== undefined && modelNotReady.test(text) ? 'model_not_ready' : 'overloaded';
}

function codeOfStatus(status: number): ErrorCode {
  return status === 413 ? 'too_large' : 'invalid_request';
}

/**
 * Returns the verdict for a server other than Edgewise, by its status and the `text` of its error message. One model or one
 * request can cause most statuses (a full queue at Triton is 503, a firewall that rejects a body answers 403); `failure` is
 * left for those that they cannot cause.
 */
export function verdictOfStatus(status: number, text?: string): Exclude<AnswerVerdict, 'deadline'> {
  if (text !== undefined && unknownModel.test(text)) return 'lacks-model';
  if (text !== undefined && modelNotReady.test(text)) return 'busy';
  switch (status) {
    case 400:
    case 413:
    // FastAPI's status for a body that does not match its schema.
    case 422:
      return 'caller';
    case 404:
      return 'lacks-model';
    case 408:
    case 425:
    case 429:
      return 'busy';
    case 401:
    case 405:
    case 501:
    case 502:
    case 505:
      return 'failure';
    default:
      return status < 400 ? 'failure' : 'model-failure';
  }
}

/** Returns the message of `{"error": "…"}`, or of FastAPI's `{"detail": …}`, on one line and cut short; undefined for any other body. */
function errorText(body: string): string | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  const said = 'error' in parsed ? parsed.error : 'detail' in parsed ? detailText(parsed.detail) : undefined;
  if (typeof said !== 'string') return undefined;
  const line = said.replace(/[\s\p{Cc}]+/gu, ' ').trim();
  return line === '' ? undefined : line.slice(0, maxShown);
}

/** Returns FastAPI's detail as text; it may be a list of `{loc: ["body", "inputs", 0], msg: "Field required"}`. */
function detailText(detail: unknown): unknown {
  if (!Array.isArray(detail)) return detail;
  return detail
    .slice(0, 3)
    .flatMap((issue: unknown) => {
      if (typeof issue !== 'object' || issue === null || !('msg' in issue)) return [];
      const place = 'loc' in issue && Array.isArray(issue.loc) ? `${issue.loc.join('.')}: ` : '';
      return [`${place}${String(issue.msg)}`];
    })
    .join('; ');
}

/** Returns the seconds of OpenAI's `Retry-After-Ms`, else of `Retry-After`; a date is compared to the answer's own `Date`, because clocks differ. */
function retryAfterSeconds(headers: Headers): number | undefined {
  const milliseconds = headers.get('retry-after-ms');
  if (milliseconds !== null && /^\d{1,9}(\.\d+)?$/.test(milliseconds)) return Number(milliseconds) / 1000;
  const value = headers.get('retry-after');
  if (value === null) return undefined;
  if (/^\d{1,6}$/.test(value)) return Number(value);
  const waitMs = Date.parse(value) - Date.parse(headers.get('date') ?? '');
  return waitMs >= 0 ? waitMs / 1000 : undefined;
}
