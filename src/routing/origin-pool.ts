/**
 * The origin pool as the HTTP layer uses it: whether it can serve a request, inference over it, streaming through it, and a
 * snapshot for operators. Its parts: `endpoint-pool.ts` (health and choice), `dispatch.ts` (attempts), `oip-endpoint.ts`
 * (one exchange), `capabilities.ts` (what a server supports).
 */
import type { Clock } from '../async/clock.ts';
import type { Manifest } from '../repository/schema.ts';
import type { Defer } from '../storage/types.ts';
import type { Capabilities } from './capabilities.ts';
import { dispatch } from './dispatch.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import { cannotEncode } from './endpoint-request.ts';
import { inferPath, type OipRequest, type OriginAnswer, oipAttempt } from './oip-endpoint.ts';
import { type PassThroughRequest, passThroughAttempt } from './pass-through.ts';
import type { OriginAbility } from './place.ts';
import type { PoolHealth } from './pool-health.ts';
import type { Attempt } from './types.ts';

export interface OriginPoolOptions {
  readonly pool: EndpointPool;
  readonly capabilities: Capabilities;
  readonly clock: Clock;
  /** Keeps background work alive after the answer. */
  readonly defer: Defer;
  /**
   * Reads the stored probe results, a hint for an isolate that knows nothing yet. Never rejects. Absent: no results are
   * stored.
   */
  readonly readHealth?: (() => Promise<PoolHealth | undefined>) | undefined;
}

/** Which endpoints can serve a request. */
export interface OriginCriteria {
  /** Our name of the model. */
  readonly model: string;
  readonly version: string;
  /** Only endpoints of this jurisdiction. Absent: any. */
  readonly jurisdiction?: string | undefined;
}

export interface OriginCall {
  readonly jurisdiction?: string | undefined;
  /** Time from now for all attempts together. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** An inference whose body is passed on unread, to one endpoint. */
export interface StreamedInference
  extends Pick<PassThroughRequest, 'headers' | 'body' | 'upload' | 'requestId' | 'traceparent'> {
  readonly manifest: Pick<Manifest, 'name' | 'version'>;
  /** Whether the body holds binary tensors, which some servers do not accept. */
  readonly binary: boolean;
}

/** How often the stored probe results are read: the probes run once a minute. */
const healthMaxAgeMs = 60_000;

export class OriginPool {
  readonly #options: OriginPoolOptions;
  #healthReadAtMs: number | undefined;

  constructor(options: OriginPoolOptions) {
    this.#options = options;
  }

  /**
   * Returns whether the pool can serve the model, from what this isolate knows, without contacting an endpoint. `foreign`: only
   * endpoints outside `jurisdiction` are configured for it.
   */
  ability({ model, version, jurisdiction }: OriginCriteria): OriginAbility {
    const { pool } = this.#options;
    const ability = pool.ability({ model, version, protocol: 'oip', jurisdiction });
    if (ability !== 'none' || jurisdiction === undefined) return ability;
    return pool.ability({ model, version, protocol: 'oip' }) === 'none' ? 'none' : 'foreign';
  }

  /**
   * Runs one inference, with attempts at several endpoints if needed. Resolves with plain tensors.
   *
   * @throws EdgewiseError `origin_unavailable`, `overloaded`, `residency_unavailable`, `deadline_exceeded`; the error of an
   * endpoint that rejects the request.
   */
  async infer(request: OipRequest, call: OriginCall): Promise<OriginAnswer> {
    const { capabilities, pool } = this.#options;
    this.#refreshHints();
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
   * Streams an inference through to one endpoint; the answer's body is a stream.
   *
   * @throws EdgewiseError as `infer`
   */
  async stream(request: StreamedInference, call: OriginCall): Promise<Response> {
    this.#refreshHints();
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

  /** Returns what an operator is shown: no addresses, no secrets. */
  snapshot() {
    const { pool } = this.#options;
    return { endpoints: pool.snapshot(), budgets: pool.budgets() };
  }

  /** An endpoint without binary tensors would read the body as JSON: it is skipped before the body is sent. */
  #forBinary(attempt: Attempt<Response>): Attempt<Response> {
    const { capabilities } = this.#options;
    return async (endpoint, context) => {
      const { binary } = await capabilities.of(endpoint, context.signal);
      if (!binary) {
        throw cannotEncode('no origin server takes binary tensors of this size', 'takes JSON only');
      }
      return attempt(endpoint, context);
    };
  }

  /** Reads the stored probe results in the background if the last read is old. */
  #refreshHints(): void {
    const { capabilities, clock, defer, pool, readHealth } = this.#options;
    const now = clock.now();
    if (readHealth === undefined) return;
    if (this.#healthReadAtMs !== undefined && now - this.#healthReadAtMs < healthMaxAgeMs) return;
    this.#healthReadAtMs = now;
    defer(
      readHealth().then((health) => {
        for (const [name, found] of Object.entries(health?.endpoints ?? {})) {
          if (found.state === 'down') pool.markSuspect(name);
          if (found.capabilities !== undefined) capabilities.seed(name, found.capabilities);
        }
      }),
    );
  }
}
