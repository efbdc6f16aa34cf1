/** A pool that watches itself: every promise it makes is checked at each attempt, on accounts that the test keeps. */
import { expect } from 'vitest';
import {
  EndpointPool,
  type EndpointPoolOptions,
  type EndpointSnapshot,
  type Lease,
  type LeaseRequest,
} from '../../src/routing/endpoint-pool.ts';
import type { LeaseEnd } from '../../src/routing/pooled-endpoint.ts';
import { ManualClock } from '../support/clock.ts';
import { quiet } from './pool-support.ts';

/** Time that lets everything happen between one timer and the next, as an event loop does. */
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
  readonly #arrivals: number[] = [];
  readonly #retries: number[] = [];
  readonly #hedges: number[] = [];
  /** Of each endpoint that is out: the attempt on which its return hangs. */
  readonly #probes = new Map<string, Lease>();
  readonly #inFlight = new Set<Lease>();

  constructor(options: EndpointPoolOptions) {
    super({
      ...options,
      onChange: (change) => {
        this.#probes.delete(change.endpoint);
        const ejected = this.snapshot().filter(({ state }) => state === 'ejected').length;
        expect(ejected).toBeLessThanOrEqual(Math.floor(this.#size / 2));
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

  override arrive(): void {
    this.#arrivals.push(this.clock.now());
    super.arrive();
  }

  override begin(request: LeaseRequest): Lease | undefined {
    const before = this.snapshot();
    const lease = super.begin(request);
    if (lease === undefined) return undefined;
    expect(request.tried).not.toContain(lease.endpoint);
    const { name, protocol, jurisdiction } = lease.endpoint.config;
    expect(protocol).toBe(request.protocol);
    if (request.jurisdiction !== undefined) expect(jurisdiction).toBe(request.jurisdiction);
    const taken = before.find((one) => one.name === name) ?? expect.unreachable();
    if (taken.state !== 'healthy') this.#checkOut(taken, lease, request, before);
    this.#checkBudgets(request.purpose);
    this.#inFlight.add(lease);
    return lease;
  }

  override end(lease: Lease, end: LeaseEnd): void {
    const { name } = lease.endpoint.config;
    expect(this.#inFlight.delete(lease)).toBe(true);
    if (this.#probes.get(name) === lease) this.#probes.delete(name);
    super.end(lease, end);
    for (const one of this.snapshot()) {
      const count = [...this.#inFlight].filter(({ endpoint }) => endpoint.config.name === one.name).length;
      expect(one.inFlight).toBe(count);
    }
  }

  /** An endpoint that is out is taken for its one probe, or where nothing better is left. */
  #checkOut(
    taken: EndpointSnapshot,
    lease: Lease,
    request: LeaseRequest,
    before: readonly EndpointSnapshot[],
  ): void {
    const isProbe = taken.outForMs === 0 && !this.#probes.has(taken.name);
    if (isProbe) this.#probes.set(taken.name, lease);
    const tried = request.tried.map(({ config }) => config.name);
    const held = this.passedOver(request, request.tried).map(({ endpoint }) => endpoint);
    const left = before.filter(
      ({ name, jurisdiction }) =>
        !tried.includes(name) &&
        !held.includes(name) &&
        (request.jurisdiction === undefined || request.jurisdiction === jurisdiction),
    );
    const isBetter = ({ state }: EndpointSnapshot) =>
      state === 'healthy' || (state === 'suspect' && taken.state === 'ejected');
    if (left.some(isBetter)) expect([isProbe, request.purpose]).toEqual([true, 'first']);
    expect(request.purpose).not.toBe('hedge');
  }

  #checkBudgets(purpose: LeaseRequest['purpose']): void {
    const nowMs = this.clock.now();
    const inWindow = (times: readonly number[]) => times.filter((atMs) => atMs > nowMs - windowMs).length;
    if (purpose === 'retry') {
      this.#retries.push(nowMs);
      expect(inWindow(this.#retries)).toBeLessThanOrEqual(Math.max(3, 0.2 * inWindow(this.#arrivals)));
    }
    if (purpose === 'hedge') {
      this.#hedges.push(nowMs);
      expect(inWindow(this.#hedges)).toBeLessThanOrEqual(0.02 * inWindow(this.#arrivals));
    }
  }
}
