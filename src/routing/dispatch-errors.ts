/** The errors of a request that no endpoint answered. The cause names the endpoints and their failures, for the log. */
import { EdgewiseError } from '../errors.ts';
import type { EndpointCriteria } from './endpoint-criteria.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import type { AttemptError, AttemptOutcome, Endpoint } from './types.ts';

export interface FailedAttempt {
  readonly endpoint: Endpoint;
  readonly error: AttemptError;
}

export interface UnansweredRequest {
  readonly criteria: EndpointCriteria;
  readonly tried: readonly Endpoint[];
  readonly failed: readonly FailedAttempt[];
  /** Why no further endpoint was tried, although one may have been left. */
  readonly stopped?: string | undefined;
}

const maxReasonLength = 120;
/** Clients treat a longer `Retry-After` as a refusal. */
const maxRetryAfterSeconds = 60;

/**
 * Returns `overloaded` if an endpoint was busy and none failed (others may lack the model); else `origin_unavailable`, or
 * `residency_unavailable` if the request is bound to a jurisdiction: endpoints elsewhere may work, and may not serve it.
 */
export function noAnswerError(pool: EndpointPool, request: UnansweredRequest): EdgewiseError {
  const { criteria, tried, failed, stopped } = request;
  const passedOver = pool.passedOver(criteria, tried);
  if (failed.length === 0 && passedOver.length === 0) return noEndpoint(pool, criteria);
  const outcomes: AttemptOutcome[] = [
    ...failed.map(({ error }) => error.outcome),
    ...passedOver.map(({ outcome }) => outcome),
  ];
  const isBusy = outcomes.includes('busy') && !outcomes.some((outcome) => failures.has(outcome));
  const cause = new Error(
    [
      ...reasons(failed),
      ...passedOver.map(({ endpoint, outcome }) => `${endpoint}: not asked, ${passedOverFor[outcome]}`),
      ...(stopped === undefined ? [] : [stopped]),
    ].join('; '),
  );
  if (!isBusy && criteria.jurisdiction !== undefined) {
    return new EdgewiseError('residency_unavailable', noneOfJurisdictionAnswers, { cause });
  }
  return new EdgewiseError(isBusy ? 'overloaded' : 'origin_unavailable', messageFor(failed, isBusy), {
    cause,
    retryAfterSeconds: retryAfterSeconds(pool, criteria, isBusy ? failed : []),
  });
}

const failures: ReadonlySet<AttemptOutcome> = new Set(['failure', 'model-failure', 'unclear']);

const noneOfJurisdictionAnswers =
  'no origin server in the jurisdiction that the request is bound to can answer it now';

const passedOverFor = {
  busy: 'it said that it is busy',
  failure: 'it failed and said when to come back',
  'lacks-model': 'it lacks the model',
} as const;

/** Returns `deadline_exceeded`. Endpoints in `tried` that are not in `failed` had not answered yet. */
export function deadlineError(tried: readonly Endpoint[], failed: readonly FailedAttempt[]): EdgewiseError {
  const waiting = tried.filter((endpoint) => !failed.some((attempt) => attempt.endpoint === endpoint));
  const told = [...reasons(failed), ...waiting.map(({ config }) => `${config.name}: no answer yet`)];
  return new EdgewiseError('deadline_exceeded', 'the request did not finish in time', {
    ...(told.length === 0 ? undefined : { cause: new Error(told.join('; ')) }),
  });
}

/** Returns `deadline_exceeded`, for the log: the caller is gone. */
export function dispatchAbortedError(reason: unknown): EdgewiseError {
  return new EdgewiseError('deadline_exceeded', 'the caller left before the origin answered', {
    cause: reason,
  });
}

function noEndpoint(pool: EndpointPool, criteria: EndpointCriteria): EdgewiseError {
  if (criteria.jurisdiction !== undefined) {
    const { model, protocol } = criteria;
    if (pool.ability(criteria) === 'none' && pool.ability({ model, protocol }) !== 'none') {
      return new EdgewiseError(
        'residency_unavailable',
        'no origin server is in the jurisdiction that the request is bound to',
      );
    }
  }
  return new EdgewiseError('origin_unavailable', 'this deployment has no origin server for the model', {
    retryAfterSeconds: 1,
  });
}

function reasons(failed: readonly FailedAttempt[]): readonly string[] {
  return failed.map(({ endpoint, error }) => `${endpoint.config.name}: ${shortReason(error)}`);
}

/** Why the attempt failed, cut to the length of a log line. */
export function shortReason({ reason }: AttemptError): string {
  return reason.slice(0, maxReasonLength);
}

/** Returns the message for the caller: the attempts' own message if all have the same. */
function messageFor(failed: readonly FailedAttempt[], isBusy: boolean): string {
  const messages = new Set(failed.map(({ error }) => error.error.message));
  const [message] = messages;
  if (message !== undefined && messages.size === 1) return message;
  return isBusy ? 'the origin servers are busy' : 'no origin server could answer this request';
}

/** Returns the shortest `Retry-After` of the busy endpoints, else the time until an endpoint may be free. */
function retryAfterSeconds(
  pool: EndpointPool,
  criteria: EndpointCriteria,
  busy: readonly FailedAttempt[],
): number {
  const named = busy.flatMap(({ error }) => error.error.retryAfterSeconds ?? []);
  const seconds = named.length === 0 ? pool.freeInMs(criteria) / 1000 : Math.min(...named);
  return Math.min(maxRetryAfterSeconds, Math.max(1, Math.ceil(seconds)));
}
