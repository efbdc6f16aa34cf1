/** How often callers may ask: who is counted, as whom, and against which rate. */
import { EdgewiseError } from '../../errors.ts';
import { saltedHash, subscriberOf } from '../../governance/accounts/addresses.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import type { RateLimiter, RateVerdict } from '../../governance/accounts/rate.ts';
import type { Rate } from '../../governance/accounts/schema.ts';
import type { SlidingWindows } from '../../governance/accounts/sliding-windows.ts';

/** What is read of a request to know who calls. */
export interface RequestHeaders {
  header(name: string): string | undefined;
}

export interface RatesOptions {
  /** Of keys and tokens. */
  readonly keys: RateLimiter;
  /** Of addresses: in this process alone, since what they are known by is. */
  readonly addresses: SlidingWindows;
  /** Where a credential's scopes say nothing; undefined: any number. */
  readonly keyRate: Rate | undefined;
  readonly anonymousRate: Rate | undefined;
  /** The header in which the platform, and nobody else, writes where a connection comes from; undefined: not known. */
  readonly addressHeader: string | undefined;
}

/** How many credentials that turn out to be none are looked up for one address: each costs a read, or a signature checked. */
const guessRate: Rate = { requests: 30, perSeconds: 60 };

/** Refusals at the gate, and verdicts, of one address without a key: each is a signature, and stands in the log for good. */
const refusalRate: Rate = { requests: 30, perSeconds: 60 };

/** The rates of one isolate or process. */
export class Rates {
  readonly #options: RatesOptions;
  readonly #hash = saltedHash();

  constructor(options: RatesOptions) {
    this.#options = options;
  }

  /** Counts one request; undefined where its caller may make any number. */
  take(caller: Caller, request: RequestHeaders): RateVerdict | undefined {
    const { addresses, anonymousRate, keyRate, keys } = this.#options;
    switch (caller.kind) {
      case 'admin':
        return undefined;
      case 'key':
        return keyRate && keys.take(caller.id, keyRate);
      case 'tenant': {
        const rate = caller.scopes.rate ?? keyRate;
        return rate && keys.take(caller.id, rate);
      }
      case 'anonymous': {
        const subject = this.#subject(request, 'asks');
        return subject === undefined ? undefined : anonymousRate && addresses.take(subject, anonymousRate);
      }
    }
  }

  /** @throws EdgewiseError `quota_exceeded` for an address that has sent too many credentials that were none. */
  refuseGuesser(request: RequestHeaders): void {
    const subject = this.#subject(request, 'guesses');
    if (subject === undefined) return;
    const verdict = this.#options.addresses.look(subject, guessRate);
    if (!verdict.permitted) {
      throw new EdgewiseError(
        'quota_exceeded',
        'too many keys that are not known here were sent from this address',
        { retryAfterSeconds: verdict.resetSeconds },
      );
    }
  }

  /** Whether a refusal of this address, or a verdict for it, can be put on record; counts it then. Where addresses are not known all can. */
  takeRefusal(request: RequestHeaders): RateVerdict | undefined {
    const subject = this.#subject(request, 'refusals');
    return subject === undefined ? undefined : this.#options.addresses.take(subject, refusalRate);
  }

  countGuess(request: RequestHeaders): void {
    const subject = this.#subject(request, 'guesses');
    if (subject !== undefined) this.#options.addresses.take(subject, guessRate);
  }

  #subject(request: RequestHeaders, what: string): string | undefined {
    const { addressHeader } = this.#options;
    const address = addressHeader && request.header(addressHeader);
    return address ? `${what} ${this.#hash(subscriberOf(address))}` : undefined;
  }
}
