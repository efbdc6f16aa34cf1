/** A pool that checks its own invariants at each attempt, with counts that the test keeps. */
import { expect } from 'vitest';
import type { VersionCriteria } from '../../src/routing/endpoint-criteria.ts';
import {
  type AttemptRequest,
  type AttemptTerms,
  EndpointPool,
  type EndpointPoolOptions,
} from '../../src/routing/endpoint-pool.ts';
import type { EndpointSnapshot } from '../../src/routing/endpoint-snapshot.ts';
import type { AttemptLease } from '../../src/routing/pooled-endpoint.ts';
import type { AttemptOutcome, LeaseEnd } from '../../src/routing/types.ts';
import { ManualClock } from '../support/clock.ts';
import { quiet } from './pool-support.ts';

/** A clock that settles all promises between one timer and the next, as an event loop does. */
export class SteppedClock extends ManualClock {
  readonly #due = new Map<symbol, number>();

  override after(ms: number, wake: () => void): () => void {
    const id = Symbol('timer');
    this.#due.set(id, this.now() + ms);
    const cancel = super.after(ms, () => {
      this.#due.delete(id);
      wake();
    });
    return () => {
      this.#due.delete(id);
      cancel();
    };
  }

  async run(ms: number): Promise<void> {
    const untilMs = this.now() + ms;
    for (;;) {
      await quiet();
      const nextMs = Math.min(...this.#due.values());
      if (nextMs > untilMs) break;
      this.advance(nextMs - this.now());
    }
    this.advance(untilMs - this.now());
    await quiet();
  }
}

const windowMs = 10_000;

export class TracedPool extends EndpointPool {
  readonly #size: number;
  readonly #arrivals: { readonly atMs: number; readonly model: string }[] = [];
  readonly #retries: { readonly atMs: number; readonly payer: string | undefined }[] = [];
  /** The model whose budget pays for the next retry; undefined: the pool's budget. */
  #payer: string | undefined;
  readonly #hedges: number[] = [];
  /** For each endpoint that is out: the attempt that probes it. */
  readonly #probes = new Map<string, AttemptLease>();
  readonly #inFlight = new Set<AttemptLease>();

  constructor(options: EndpointPoolOptions) {
    super({
      ...options,
      onChange: (change) => {
        const { endpoint, model } = change;
        const whole = this.snapshot();
        this.#probes.delete(model === undefined ? endpoint : `${endpoint} ${model}`);
        // An endpoint is ejected whether or not single models are out elsewhere, so this bounds what is ejected now.
        if (change.state === 'ejected') {
          const ejected = whole.filter((one) => stateFor(one, model) === 'ejected').length;
          expect(ejected).toBeLessThanOrEqual(Math.floor(this.#size / 2));
        }
        options.onChange?.(change);
      },
    });
    this.#size = options.endpoints.length;
  }

  get hedgesSent(): number {
    return this.#hedges.length;
  }

  get retriesSent(): number {
    return this.#retries.length;
  }

  override countRequest(criteria: VersionCriteria): void {
    this.#arrivals.push({ atMs: this.clock.now(), model: criteria.model });
    super.countRequest(criteria);
  }

  override retriesAfter(outcome: AttemptOutcome, criteria: VersionCriteria) {
    const budget = super.retriesAfter(outcome, criteria);
    this.#payer = budget === this.retries ? undefined : criteria.model;
    return budget;
  }

  override begin(request: AttemptRequest, terms: AttemptTerms): AttemptLease | undefined {
    const before = this.snapshot();
    const lease = super.begin(request, terms);
    if (lease === undefined) return undefined;
    expect(terms.tried).not.toContain(lease.endpoint);
    const { name, protocol, jurisdiction } = lease.endpoint.config;
    expect(protocol).toBe(request.protocol);
    if (request.jurisdiction !== undefined) expect(jurisdiction).toBe(request.jurisdiction);
    const taken = before.find((one) => one.name === name) ?? expect.unreachable();
    if (stateFor(taken, request.model) !== 'healthy')
      this.#checkOut(taken, lease, { ...request, ...terms }, before);
    this.#checkBudgets(terms.purpose);
    this.#inFlight.add(lease);
    return lease;
  }

  override end(lease: AttemptLease, end: LeaseEnd): void {
    expect(this.#inFlight.delete(lease)).toBe(true);
    for (const [what, probe] of this.#probes) if (probe === lease) this.#probes.delete(what);
    super.end(lease, end);
    for (const one of this.snapshot()) {
      const count = [...this.#inFlight].filter(({ endpoint }) => endpoint.config.name === one.name).length;
      expect(one.inFlight).toBe(count);
    }
  }

  /** An endpoint that is out, or at which the model is out, is chosen only for its one probe, or if nothing better is left. */
  #checkOut(
    taken: EndpointSnapshot,
    lease: AttemptLease,
    request: AttemptRequest & AttemptTerms,
    before: readonly EndpointSnapshot[],
  ): void {
    const { model } = request;
    const kept = taken.keptOut.find((one) => one.model === model);
    const out = [
      ...(taken.state === 'healthy' ? [] : [{ what: taken.name, outForMs: taken.outForMs }]),
      ...(kept === undefined ? [] : [{ what: `${taken.name} ${model}`, outForMs: kept.outForMs }]),
    ];
    const due = out.filter(({ what, outForMs }) => outForMs === 0 && !this.#probes.has(what));
    for (const { what } of due) this.#probes.set(what, lease);
    const isProbe = due.length === out.length;
    const tried = request.tried.map(({ config }) => config.name);
    const held = this.passedOver(request, request.tried).map(({ endpoint }) => endpoint);
    const left = before.filter(
      ({ name, jurisdiction }) =>
        !tried.includes(name) &&
        !held.includes(name) &&
        (request.jurisdiction === undefined || request.jurisdiction === jurisdiction),
    );
    const isBetter = (one: EndpointSnapshot) =>
      ranks.indexOf(stateFor(one, model)) < ranks.indexOf(stateFor(taken, model));
    if (left.some(isBetter)) expect([isProbe, request.purpose]).toEqual([true, 'first']);
    expect(request.purpose).not.toBe('hedge');
  }

  #checkBudgets(purpose: AttemptTerms['purpose']): void {
    const nowMs = this.clock.now();
    const inWindow = (times: readonly number[]) => times.filter((atMs) => atMs > nowMs - windowMs).length;
    const arrivals = this.#arrivals.filter(({ atMs }) => atMs > nowMs - windowMs);
    if (purpose === 'retry') {
      const payer = this.#payer;
      this.#retries.push({ atMs: nowMs, payer });
      const paid = this.#retries.flatMap((one) => (one.payer === payer ? one.atMs : []));
      const requests = arrivals.filter(({ model }) => payer === undefined || payer === model).length;
      expect(inWindow(paid)).toBeLessThanOrEqual(Math.max(3, 0.2 * requests));
    }
    if (purpose === 'hedge') {
      this.#hedges.push(nowMs);
      expect(inWindow(this.#hedges)).toBeLessThanOrEqual(0.02 * arrivals.length);
    }
  }
}

const ranks: readonly EndpointSnapshot['state'][] = ['healthy', 'suspect', 'ejected'];

/** Returns the worse of the endpoint's state and the model's state at it. */
function stateFor(
  { state, keptOut }: EndpointSnapshot,
  model: string | undefined,
): EndpointSnapshot['state'] {
  const kept = keptOut.find((one) => one.model === model)?.state ?? 'healthy';
  return ranks.indexOf(kept) > ranks.indexOf(state) ? kept : state;
}
