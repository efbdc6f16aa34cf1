/** Pools whose endpoints the test answers for. */
import { EdgewiseError, type ErrorCode, type ErrorOptions } from '../../src/errors.ts';
import { type DispatchRequest, dispatch } from '../../src/routing/dispatch.ts';
import { parseOriginPool } from '../../src/routing/endpoint-config.ts';
import {
  type EndpointChange,
  EndpointPool,
  type EndpointPoolOptions,
} from '../../src/routing/endpoint-pool.ts';
import {
  type AttemptAnswer,
  type AttemptContext,
  AttemptError,
  type Endpoint,
} from '../../src/routing/types.ts';
import { ManualClock } from '../support/clock.ts';

const letters = 'abcdefghijklmnop';

/** Endpoints `a`, `b`, …: their number, or their configurations. */
export function endpointsOf(configs: number | readonly object[]): readonly Endpoint[] {
  const given = typeof configs === 'number' ? new Array<object>(configs).fill({}) : configs;
  const named = given.map((config, at) => ({
    url: `http://${letters[at]}.test`,
    name: letters[at],
    ...config,
  }));
  return parseOriginPool(JSON.stringify(named)).map((config) => ({
    config,
    headers: {},
    fetch: () => Promise.reject(new Error('the test answers; no request may be sent')),
  }));
}

export interface Asked {
  readonly endpoint: string;
  readonly context: AttemptContext;
  readonly answer: (answer?: Partial<AttemptAnswer<string>>) => void;
  readonly refuse: (error: unknown) => void;
}

export interface TestPool {
  readonly clock: ManualClock;
  readonly pool: EndpointPool;
  readonly changes: readonly EndpointChange[];
  /** Every attempt in order, for the test to answer. */
  readonly asked: readonly Asked[];
  /** The last attempt begun. */
  readonly last: () => Asked;
  /** Sends a replayable request for model `m` with 10 s; hedged only if it says so. */
  readonly send: (request?: Partial<DispatchRequest<string>>) => Promise<Sent>;
  /** Sends a request to which `a`, `b`, … respond at once as given here; endpoints without an entry answer it. */
  readonly sendTo: (
    answers: Readonly<Record<string, () => Error>>,
    request?: Partial<DispatchRequest<string>>,
  ) => Promise<Sent>;
}

/** The result of a request; a rejection is `error`. */
export interface Sent {
  readonly endpoint?: string;
  readonly attempts?: number;
  readonly hedged?: boolean;
  readonly error?: unknown;
}

export function testPool(
  configs: number | readonly object[],
  options: Partial<EndpointPoolOptions> = {},
): TestPool {
  const clock = new ManualClock();
  const changes: EndpointChange[] = [];
  const pool = new EndpointPool({
    endpoints: endpointsOf(configs),
    clock,
    // The first of equal candidates is chosen.
    random: () => 0.99,
    onChange: (change) => changes.push(change),
    ...options,
  });
  const asked: Asked[] = [];
  const send = (request: Partial<DispatchRequest<string>> = {}): Promise<Sent> =>
    dispatch(pool, {
      model: 'm',
      protocol: 'oip',
      replayable: true,
      hedge: false,
      deadlineMs: 10_000,
      attempt: (endpoint, context) =>
        new Promise<AttemptAnswer<string>>((resolve, reject) => {
          const { name } = endpoint.config;
          const answer = (given: Partial<AttemptAnswer<string>> = {}) => resolve({ value: name, ...given });
          asked.push({ endpoint: name, context, answer, refuse: reject });
        }),
      ...request,
    }).then(
      ({ endpoint, attempts, hedged }) => ({ endpoint, attempts, hedged }),
      (error: unknown) => ({ error }),
    );
  return {
    clock,
    pool,
    changes,
    asked,
    last: () => asked.at(-1) ?? failUnasked(),
    send,
    sendTo: (answers, request) =>
      send({
        attempt: async ({ config: { name } }) => {
          const refusal = answers[name];
          if (refusal !== undefined) throw refusal();
          return { value: name };
        },
        ...request,
      }),
  };
}

function failUnasked(): never {
  throw new Error('no endpoint was asked');
}

/** The failure of an endpoint that answers 500. */
export function endpointFailure(options: ErrorOptions = {}): AttemptError {
  const cause = new Error('answered 500');
  return new AttemptError(
    'failure',
    new EdgewiseError('origin_unavailable', 'it failed', { cause, ...options }),
  );
}

export function busy({
  code = 'overloaded',
  ...options
}: ErrorOptions & { code?: ErrorCode } = {}): AttemptError {
  const cause = new Error('answered 429');
  return new AttemptError('busy', new EdgewiseError(code, 'it is busy', { cause, ...options }));
}

export function lacking(): AttemptError {
  const cause = new Error('answered 404');
  return new AttemptError(
    'lacks-model',
    new EdgewiseError('origin_unavailable', 'it lacks the model', { cause }),
  );
}

/** Waits until all pending promises have settled. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}
