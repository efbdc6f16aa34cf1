/**
 * The public keys of one issuer (JWK Set, RFC 7517), fetched from its URL and cached for ten minutes. Keys in use are fetched
 * again in the background before that. If the issuer cannot be reached, its keys are trusted for an hour after they were
 * read; after that, its tokens are refused. The issuer is asked at most once in 30 s, whatever keys tokens name.
 *
 * jose's remote key set shares promises between requests, which workerd forbids. This class shares only values.
 */
import type { JSONWebKeySet } from 'jose';
import { z } from 'zod';
import type { Clock } from '../../async/clock.ts';
import { settledWithin } from '../../async/deadline.ts';
import { SingleFlight } from '../../async/single-flight.ts';
import { EdgewiseError } from '../../errors.ts';
import type { Defer } from '../../storage/types.ts';

export const jwksMaxAgeMs = 600_000;
export const jwksMaxStaleMs = 3_600_000;
export const jwksCoolDownMs = 30_000;
const refreshAfterMs = jwksMaxAgeMs / 2;
const fetchTimeoutMs = 3000;
const maxBytes = 256 * 1024;

const jwksSchema = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).max(100) });

export interface IssuerKeysOptions {
  readonly issuer: string;
  readonly url: string;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly clock: Clock;
  readonly defer: Defer;
}

/** A set of keys, and when it was read, by the clock. */
export interface KeySet {
  readonly jwks: JSONWebKeySet;
  readonly readAt: number;
}

export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  readonly #reads: SingleFlight<'jwks', KeySet>;
  #held: KeySet | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
    this.#reads = new SingleFlight({ ...options, patienceMs: fetchTimeoutMs + 500 });
  }

  /** Returns the keys, without a promise if they are young enough. @throws EdgewiseError (by the promise) `records_unavailable` */
  current(): KeySet | Promise<KeySet> {
    const held = this.#held;
    const ageMs = this.#ageMs();
    if (held === undefined || ageMs >= jwksMaxAgeMs) return this.#readOrStale();
    if (ageMs >= refreshAfterMs && this.#mayAsk()) this.#options.defer(this.#read().catch(() => undefined));
    return held;
  }

  /**
   * Returns newer keys than `seen`, which lacks the key that a token names; `seen` if the issuer may not be asked yet, or does
   * not answer and the keys are still trusted.
   *
   * @throws EdgewiseError `records_unavailable` if it does not answer and the keys are too old.
   */
  async newerThan(seen: KeySet): Promise<KeySet> {
    if (this.#held !== undefined && this.#held !== seen) return this.#held;
    return this.#mayAsk() ? this.#readOrStale() : seen;
  }

  #ageMs(): number {
    return this.#held === undefined
      ? Number.POSITIVE_INFINITY
      : this.#options.clock.now() - this.#held.readAt;
  }

  #mayAsk(): boolean {
    return this.#options.clock.now() - this.#askedAt >= jwksCoolDownMs;
  }

  /** Returns the keys held, up to `jwksMaxStaleMs` old, if they cannot be read. @throws EdgewiseError `records_unavailable` */
  async #readOrStale(): Promise<KeySet> {
    let cause: unknown;
    try {
      return await this.#read();
    } catch (error) {
      cause = error;
    }
    if (this.#held !== undefined && this.#ageMs() < jwksMaxStaleMs) return this.#held;
    throw new EdgewiseError(
      'records_unavailable',
      `the keys of the issuer ${JSON.stringify(this.#options.issuer)} cannot be read at the moment, try again`,
      { cause, retryAfterSeconds: jwksCoolDownMs / 1000 },
    );
  }

  /** Reads and holds the keys. @throws Error also if the issuer may not be asked yet. */
  #read(): Promise<KeySet> {
    return this.#reads.run('jwks', async () => {
      if (!this.#mayAsk())
        throw new Error(`the issuer was asked less than ${jwksCoolDownMs} ms ago, without success`);
      const readAt = this.#options.clock.now();
      this.#askedAt = readAt;
      const read = { jwks: await this.#fetch(), readAt };
      this.#held = read;
      return read;
    });
  }

  async #fetch(): Promise<JSONWebKeySet> {
    const { clock, fetch, url } = this.#options;
    const abort = new AbortController();
    const reading = readJwks(
      fetch(url, {
        // Keys are trusted only from the configured URL.
        redirect: 'manual',
        headers: { Accept: 'application/jwk-set+json, application/json' },
        signal: abort.signal,
      }),
    );
    if ((await settledWithin(reading, { clock, ms: fetchTimeoutMs })) !== 'settled') {
      abort.abort();
      throw new Error(`the issuer did not answer within ${fetchTimeoutMs} ms`);
    }
    return reading;
  }
}

async function readJwks(answering: Promise<Response>): Promise<JSONWebKeySet> {
  const response = await answering;
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`the issuer answered ${response.status}; expected 200`);
  }
  return jwksSchema.parse(JSON.parse(await readBoundedText(response)));
}

async function readBoundedText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  const reader = response.body?.getReader();
  for (let read = await reader?.read(); read !== undefined && !read.done; read = await reader?.read()) {
    bytes += read.value.byteLength;
    if (bytes > maxBytes) {
      await reader?.cancel();
      throw new Error(`the issuer's answer is longer than ${maxBytes} bytes`);
    }
    text += decoder.decode(read.value, { stream: true });
  }
  return text + decoder.decode();
}
