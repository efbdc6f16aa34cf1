/**
 * Shares one piece of work among all callers that ask for the same key at the same time.
 *
 * Made for isolates whose requests may end at any point: on Cloudflare, work that a request began dies with it, and callers
 * that wait for its promise see a rejection or nothing at all. So each flight is handed to `defer` to outlive its request;
 * its promise never rejects by itself, so a rejection means that the runtime gave it up; and no caller waits longer than
 * `patienceMs`. In both cases the waiting caller does the work itself.
 */
import type { Clock } from './clock.ts';
import { settledWithin } from './deadline.ts';

export interface SingleFlightOptions {
  readonly clock: Clock;
  /** Lets work outlive the request that began it (`waitUntil`). */
  readonly defer: (work: Promise<unknown>) => void;
  readonly patienceMs: number;
}

type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

interface Flight<T> {
  readonly startedAt: number;
  readonly outcome: Promise<Outcome<T>>;
}

export class SingleFlight<K, T> {
  readonly #options: SingleFlightOptions;
  readonly #flights = new Map<K, Flight<T>>();

  constructor(options: SingleFlightOptions) {
    this.#options = options;
  }

  /** Runs `work`, or joins the flight of the same key. Returns its result or throws its error. */
  async run(key: K, work: () => Promise<T>): Promise<T> {
    const { clock, patienceMs } = this.#options;
    const flight = this.#flights.get(key);
    // An older flight has died with its request.
    const joined =
      flight !== undefined && clock.now() - flight.startedAt < patienceMs
        ? await this.#join(flight)
        : undefined;
    const outcome = joined ?? (await this.#start(key, work).outcome);
    if (outcome.ok) return outcome.value;
    throw outcome.error;
  }

  /** Lets later callers start a new flight instead of joining the current one, which may have read outdated data. */
  forget(key: K): void {
    this.#flights.delete(key);
  }

  #start(key: K, work: () => Promise<T>): Flight<T> {
    const outcome = settle(work);
    const flight: Flight<T> = { startedAt: this.#options.clock.now(), outcome };
    this.#flights.set(key, flight);
    const removal = outcome.then(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    });
    this.#options.defer(removal);
    return flight;
  }

  async #join({ outcome }: Flight<T>): Promise<Outcome<T> | undefined> {
    const { clock, patienceMs } = this.#options;
    if ((await settledWithin(outcome, { clock, ms: patienceMs })) !== 'settled') return undefined;
    try {
      return await outcome;
    } catch {
      return undefined;
    }
  }
}

/** Runs `work` and returns its result or error; never rejects. */
async function settle<T>(work: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    return { ok: false, error };
  }
}
