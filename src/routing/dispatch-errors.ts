/** What a request that no endpoint answered is told. Which endpoints failed and how is in the cause, for the log. */
import { EdgewiseError } from '../errors.ts';
import type { EndpointCriteria, EndpointPool } from './endpoint-pool.ts';
import type { AttemptError, AttemptOutcome, Endpoint } from './types.ts';

export interface FailedAttempt {
  readonly endpoint: Endpoint;
  readonly error: AttemptError;
}

export interface Unanswered {
  readonly wanted: EndpointCriteria;
  readonly tried: readonly Endpoint[];
  readonly failed: readonly FailedAttempt[];
  /** Why no further endpoint was tried, where one may have been left. */
  readonly stopped?: string | undefined;
}

const maxReasonLength = 120;
/** Clients take a longer one for no answer. */
const maxRetryAfterSeconds = 60;

/**
 * `overloaded` where all that failed were busy; else `origin_unavailable`, or `residency_unavailable` where the request is
 * bound to a jurisdiction: others may well be there, and are not for it.
 */
export function unanswered(pool: EndpointPool, request: Unanswered): EdgewiseError {
  const { wanted, tried, failed, stopped } = request;
  const passedOver = pool.passedOver(wanted, tried);
  if (failed.length === 0 && passedOver.length === 0) return nobody(pool, wanted);
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
  if (!isBusy && wanted.jurisdiction !== undefined) {
    return new EdgewiseError('residency_unavailable', noneOfJurisdictionAnswers, { cause });
  }
  return new EdgewiseError(isBusy ? 'overloaded' : 'origin_unavailable', messageFor(failed, isBusy), {
    cause,
    retryAfterSeconds: retryAfterSeconds(pool, wanted, isBusy ? failed : []),
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

/** `deadline_exceeded`; `tried` beyond those that failed were still at it. */
export function tooLate(tried: readonly Endpoint[], failed: readonly FailedAttempt[]): EdgewiseError {
  const waiting = tried.filter((endpoint) => !failed.some((attempt) => attempt.endpoint === endpoint));
  const told = [...reasons(failed), ...waiting.map(({ config }) => `${config.name}: no answer yet`)];
  return new EdgewiseError('deadline_exceeded', 'the request did not finish in time', {
    ...(told.length === 0 ? undefined : { cause: new Error(told.join('; ')) }),
  });
}

/** `deadline_exceeded`; nobody hears it. */
export function callerLeft(reason: unknown): EdgewiseError {
  return new EdgewiseError('deadline_exceeded', 'the caller left before the origin answered', {
    cause: reason,
  });
}

function nobody(pool: EndpointPool, wanted: EndpointCriteria): EdgewiseError {
  if (wanted.jurisdiction !== undefined) {
    const { model, protocol } = wanted;
    if (pool.ability(wanted) === 'none' && pool.ability({ model, protocol }) !== 'none') {
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
  return failed.map(({ endpoint, error }) => `${endpoint.config.name}: ${reasonOf(error)}`);
}

/** Why the attempt failed, for the log. */
export function reasonOf({ error }: AttemptError): string {
  const reason = error.cause instanceof Error ? error.cause.message : error.message;
  return reason.slice(0, maxReasonLength);
}

/** What the attempts' errors say for the caller, where they say the same. */
function messageFor(failed: readonly FailedAttempt[], isBusy: boolean): string {
  const messages = new Set(failed.map(({ error }) => error.error.message));
  const [message] = messages;
  if (message !== undefined && messages.size === 1) return message;
  return isBusy ? 'the origin servers are busy' : 'no origin server could answer this request';
}

/** The soonest that an endpoint named itself, else when one may be free. */
function retryAfterSeconds(
  pool: EndpointPool,
  wanted: EndpointCriteria,
  busy: readonly FailedAttempt[],
): number {
  const named = busy.flatMap(({ error }) => error.error.retryAfterSeconds ?? []);
  const seconds = named.length === 0 ? pool.freeInMs(wanted) / 1000 : Math.min(...named);
  return Math.min(maxRetryAfterSeconds, Math.max(1, Math.ceil(seconds)));
}
