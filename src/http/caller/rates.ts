/** Rate limits of callers: which counter a request is counted by, and against which rate. */
import { EdgewiseError } from '../../errors.ts';
import { createSaltedHash, subscriberOf } from '../../governance/accounts/addresses.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import type { RateLimiter, RateVerdict } from '../../governance/accounts/rate.ts';
import type { Rate } from '../../governance/accounts/schema.ts';
import type { SlidingWindows } from '../../governance/accounts/sliding-windows.ts';

/** The part of a request that tells who calls. */
export interface RequestHeaders {
  header(name: string): string | undefined;
}

export interface RatesOptions {
  /** Counts requests of keys and tokens. */
  readonly keys: RateLimiter;
  /** Counts requests of addresses, in this process alone: the salt that hides addresses is its own. */
  readonly addresses: SlidingWindows;
  /** The rate of a credential whose scopes set none; undefined: unlimited. */
  readonly keyRate: Rate | undefined;
  readonly anonymousRate: Rate | undefined;
  /** The header in which the platform, and no caller, writes the address of a connection; undefined if there is none. */
  readonly addressHeader: string | undefined;
}

/** Unknown credentials that one address may have looked up: each lookup costs a read or a signature check. */
const guessRate: Rate = { requests: 30, perSeconds: 60 };

/** Refusals and verdicts that one address without a key may cause: each costs a signature and stays in the log for good. */
const refusalRate: Rate = { requests: 30, perSeconds: 60 };

/** The counters of one isolate or process. */
export class Rates {
  readonly #options: RatesOptions;
  readonly #hash = createSaltedHash();

  constructor(options: RatesOptions) {
    this.#options = options;
  }

  /** Counts one request. Returns undefined for a caller without a limit. */
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
        const subject = this.#subject(request, 'requests');
        return subject === undefined ? undefined : anonymousRate && addresses.take(subject, anonymousRate);
      }
    }
  }

  /** @throws EdgewiseError `quota_exceeded` for an address that has sent too many unknown credentials */
  refuseGuesser(request: RequestHeaders): void {
    const subject = this.#subject(request, 'guesses');
    if (subject === undefined) return;
    const verdict = this.#options.addresses.look(subject, guessRate);
    if (!verdict.permitted) {
      throw new EdgewiseError('quota_exceeded', 'too many unknown keys were sent from this address', {
        retryAfterSeconds: verdict.resetSeconds,
      });
    }
  }

  /** Counts a refusal of the request's address, or a verdict for it. Returns undefined if addresses are not known. */
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
