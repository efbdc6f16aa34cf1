/**
 * The origin pool as the HTTP layer sees it: whether it can have a request, one inference at it, one stream through it,
 * and what an operator is shown. The parts: `endpoint-pool.ts` (who is well), `dispatch.ts` (attempts), `oip-endpoint.ts`
 * (the exchange), `capabilities.ts` (what a server can do).
 */
import type { Clock } from '../async/clock.ts';
import { EdgewiseError } from '../errors.ts';
import type { Manifest } from '../repository/schema.ts';
import type { Defer } from '../storage/types.ts';
import type { Capabilities } from './capabilities.ts';
import { dispatch } from './dispatch.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import { inferPath, type OipRequest, type OriginAnswer, oipAttempt } from './oip-endpoint.ts';
import { type PassThroughRequest, passThroughAttempt } from './pass-through.ts';
import type { OriginAbility } from './place.ts';
import type { PoolHealth } from './pool-snapshot.ts';
import { type Attempt, AttemptError } from './types.ts';

export interface OriginPoolOptions {
  readonly pool: EndpointPool;
  readonly capabilities: Capabilities;
  readonly clock: Clock;
  /** Keeps work alive that no answer waits for. */
  readonly defer: Defer;
  /** What the last probes found: a hint for an isolate that knows nothing yet. Never rejects. Absent: there is none. */
  readonly readHealth?: (() => Promise<PoolHealth | undefined>) | undefined;
}

/** Which endpoints a request may go to. */
export interface OriginCriteria {
  /** Our name of the model. */
  readonly model: string;
  readonly version: string;
  /** Only endpoints of this one. */
  readonly jurisdiction?: string | undefined;
}

export interface OriginCall {
  readonly jurisdiction?: string | undefined;
  /** From now, all attempts together. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** An inference whose body is sent on unread, once. */
export interface StreamedInference
  extends Pick<PassThroughRequest, 'headers' | 'body' | 'upload' | 'requestId' | 'traceparent'> {
  readonly manifest: Pick<Manifest, 'name' | 'version'>;
  /** Whether it holds binary tensors, which some servers do not take. */
  readonly binary: boolean;
}

/** How often the probes' findings are read: they are made once a minute. */
const healthMaxAgeMs = 60_000;

export class OriginPool {
  readonly #options: OriginPoolOptions;
  #healthReadAtMs: number | undefined;

  constructor(options: OriginPoolOptions) {
    this.#options = options;
  }

  /** What the pool has for the model, as far as this isolate knows; asks nobody. */
  ability({ model, version, jurisdiction }: OriginCriteria): OriginAbility {
    const { pool } = this.#options;
    const ability = pool.ability({ model, version, protocol: 'oip', jurisdiction });
    if (ability !== 'none' || jurisdiction === undefined) return ability;
    return pool.ability({ model, version, protocol: 'oip' }) === 'none' ? 'none' : 'foreign';
  }

  /**
   * One inference, which may be tried at several endpoints. Resolves with plain tensors.
   *
   * @throws EdgewiseError `origin_unavailable`, `overloaded`, `residency_unavailable`, `deadline_exceeded`; what an
   * endpoint finds wrong with the request.
   */
  async infer(request: OipRequest, call: OriginCall): Promise<OriginAnswer> {
    const { capabilities, pool } = this.#options;
    this.#takeHints();
    const { value } = await dispatch(pool, {
      ...call,
      model: request.manifest.name,
      version: request.manifest.version,
      protocol: 'oip',
      replayable: true,
      hedge: true,
      attempt: oipAttempt(capabilities, request),
    });
    return value;
  }

  /**
   * An inference whose body goes on as it comes, to one endpoint; the answer's body is a stream.
   *
   * @throws EdgewiseError as `infer`
   */
  async stream(request: StreamedInference, call: OriginCall): Promise<Response> {
    this.#takeHints();
    const { manifest, binary, ...rest } = request;
    const attempt = passThroughAttempt({
      ...rest,
      method: 'POST',
      path: (config) => inferPath(config, manifest),
      signal: call.signal,
    });
    const { value } = await dispatch(this.#options.pool, {
      ...call,
      model: manifest.name,
      version: manifest.version,
      protocol: 'oip',
      replayable: false,
      hedge: false,
      attempt: binary ? this.#forBinary(attempt) : attempt,
    });
    return value;
  }

  /** What an operator is shown: no addresses, no secrets. */
  snapshot() {
    const { pool } = this.#options;
    return { endpoints: pool.snapshot(), budgets: pool.budgets() };
  }

  /** An endpoint without binary tensors would take the body for JSON: it is passed over before the body is spent. */
  #forBinary(attempt: Attempt<Response>): Attempt<Response> {
    const { capabilities } = this.#options;
    return async (endpoint, context) => {
      const { binary } = await capabilities.of(endpoint, context.signal);
      if (!binary) {
        throw new AttemptError(
          'lacks-model',
          new EdgewiseError('origin_unavailable', 'no origin server takes binary tensors of this size', {
            cause: new Error('takes JSON only'),
          }),
          undefined,
          true,
        );
      }
      return attempt(endpoint, context);
    };
  }

  /** Reads the probes' findings behind the request, where those at hand are old. */
  #takeHints(): void {
    const { capabilities, clock, defer, pool, readHealth } = this.#options;
    const now = clock.now();
    if (readHealth === undefined) return;
    if (this.#healthReadAtMs !== undefined && now - this.#healthReadAtMs < healthMaxAgeMs) return;
    this.#healthReadAtMs = now;
    defer(
      readHealth().then((health) => {
        for (const [name, found] of Object.entries(health?.endpoints ?? {})) {
          if (found.state === 'down') pool.hint(name, 'suspect');
          if (found.capabilities !== undefined) capabilities.seed(name, found.capabilities);
        }
      }),
    );
  }
}
