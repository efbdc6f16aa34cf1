/**
 * One piece of work for all who want the same at the same time.
 *
 * Made for isolates whose requests may end in the middle of anything: on Cloudflare, work that a request began dies with
 * it, and whoever waits for its promise is told so by a rejection, or by nothing at all. So each flight outlives its
 * request by `defer`; its promise never rejects of itself, which leaves a rejection to mean that the runtime has given it
 * up; and nobody waits longer than `patienceMs`. Both ways the one who waited does the work itself.
 */
import type { Clock } from './clock.ts';
import { settledWithin } from './deadline.ts';

export interface SingleFlightOptions {
  readonly clock: Clock;
  /** Lets work outlive the request that began it (`waitUntil`). */
  readonly defer: (work: Promise<unknown>) => void;
  readonly patienceMs: number;
}

type Landed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

interface Flight<T> {
  readonly startedAt: number;
  readonly landed: Promise<Landed<T>>;
}

export class SingleFlight<K, T> {
  readonly #options: SingleFlightOptions;
  readonly #flights = new Map<K, Flight<T>>();

  constructor(options: SingleFlightOptions) {
    this.#options = options;
  }

  /** What `work` gives: this one's, or that of one under way under the same key. @throws what it throws. */
  async run(key: K, work: () => Promise<T>): Promise<T> {
    const { clock, patienceMs } = this.#options;
    const under = this.#flights.get(key);
    // One older than anybody's patience has died with its request.
    const landed =
      under !== undefined && clock.now() - under.startedAt < patienceMs
        ? await this.#await(under)
        : undefined;
    const outcome = landed ?? (await this.#start(key, work).landed);
    if (outcome.ok) return outcome.value;
    throw outcome.error;
  }

  /** Whoever comes from now on does not join what is under way: it may have read what is no longer so. */
  forget(key: K): void {
    this.#flights.delete(key);
  }

  #start(key: K, work: () => Promise<T>): Flight<T> {
    const landed = land(work);
    const flight: Flight<T> = { startedAt: this.#options.clock.now(), landed };
    this.#flights.set(key, flight);
    const left = landed.then(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    });
    this.#options.defer(left);
    return flight;
  }

  async #await({ landed }: Flight<T>): Promise<Landed<T> | undefined> {
    const { clock, patienceMs } = this.#options;
    if ((await settledWithin(landed, { clock, ms: patienceMs })) !== 'settled') return undefined;
    try {
      return await landed;
    } catch {
      return undefined;
    }
  }
}

async function land<T>(work: () => Promise<T>): Promise<Landed<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    return { ok: false, error };
  }
}
