import { describe, expect, it } from 'vitest';
import { EndpointHealth, type HealthChange } from '../../src/routing/endpoint-health.ts';
import type { AttemptOutcome } from '../../src/routing/types.ts';

interface Subject {
  readonly health: EndpointHealth;
  /** Makes one attempt after another, each begun and ended now. Returns the last change. */
  readonly run: (...outcomes: readonly AttemptOutcome[]) => HealthChange | undefined;
  readonly wait: (ms: number) => void;
  readonly now: () => number;
}

function subject(mayEject: () => boolean = () => true): Subject {
  const health = new EndpointHealth();
  let nowMs = 0;
  return {
    health,
    run: (...outcomes) => {
      let last: HealthChange | undefined;
      for (const outcome of outcomes) {
        const change = health.end(health.begin(nowMs), { outcome, nowMs, reason: 'answered 500', mayEject });
        last = change ?? last;
      }
      return last;
    },
    wait: (ms) => {
      nowMs += ms;
    },
    now: () => nowMs,
  };
}

const times = <T>(count: number, value: T): readonly T[] => new Array<T>(count).fill(value);
const fiveFailures = times(5, 'failure' as const);

describe('EndpointHealth', () => {
  it('is ejected by the fifth failure in a row, for 5 s', () => {
    const { health, run, now } = subject();
    expect(run('failure', 'failure', 'failure', 'failure')).toBeUndefined();
    expect(health.state).toBe('healthy');
    expect(run('failure')).toEqual({
      state: 'ejected',
      reason: '5 failures in a row, the last: answered 500; out for 5 s',
    });
    expect([health.state, health.ejections, health.outForMs(now())]).toEqual(['ejected', 1, 5000]);
  });

  it('counts failures anew after each success', () => {
    const { health, run } = subject();
    for (let round = 0; round < 4; round += 1)
      run(...times(16, 'success' as const), ...times(4, 'failure' as const));
    expect(health.state).toBe('healthy');
  });

  it('counts an attempt that was overtaken as a failure in a row, not in the share of successes', () => {
    const { health, run } = subject();
    for (let round = 0; round < 20; round += 1) run('success', ...times(4, 'overtaken' as const));
    expect(health.state).toBe('healthy');
    expect(run('failure', 'failure', 'overtaken', 'overtaken', 'overtaken')?.state).toBe('ejected');
  });

  it.each(['busy', 'lacks-model', 'abandoned'] as const)(
    'learns nothing from an attempt that ended %s',
    (outcome) => {
      const { health, run } = subject();
      run(...times(100, outcome), ...times(4, 'failure' as const), outcome);
      expect(health.state).toBe('healthy');
      expect(run('failure')?.state).toBe('ejected');
    },
  );

  it.each([
    { successes: 15, failures: 4, state: 'healthy' },
    { successes: 16, failures: 4, state: 'healthy' },
    { successes: 15, failures: 5, state: 'ejected' },
    { successes: 80, failures: 20, state: 'healthy' },
    { successes: 79, failures: 20, state: 'ejected' },
  ])(
    'is $state after $failures failures beside $successes successes in 10 s',
    ({ successes, failures, state }) => {
      const { health, run } = subject();
      // Never five in a row, and a failure last: only a failure can eject.
      const alternating = Array.from({ length: failures }, () => ['success', 'failure'] as const).flat();
      run(...times(successes - failures, 'success' as const), ...alternating);
      expect(health.state).toBe(state);
    },
  );

  it('forgets outcomes older than 10 s', () => {
    const { health, run, wait } = subject();
    for (let round = 0; round < 5; round += 1) {
      run('failure', 'success', 'failure', 'success', 'failure', 'success');
      wait(4000);
    }
    expect(health.state).toBe('healthy');
  });

  it('is out for 5, 10, 20 … 300 s, twice as long after each failed probe', () => {
    const { health, run, wait, now } = subject();
    run(...fiveFailures);
    const outMs: number[] = [];
    for (let round = 0; round < 9; round += 1) {
      outMs.push(health.outForMs(now()));
      wait(health.outForMs(now()));
      expect(health.isProbeDue(now())).toBe(true);
      run('failure');
    }
    expect(outMs).toEqual([5, 10, 20, 40, 80, 160, 300, 300, 300].map((seconds) => seconds * 1000));
    expect(health.ejections).toBe(10);
  });

  it('allows one probe when its time out is over, and is readmitted when the probe succeeds', () => {
    const { health, run, wait, now } = subject();
    run(...fiveFailures);
    wait(4999);
    expect(health.isProbeDue(now())).toBe(false);
    wait(1);
    const probe = health.begin(now());
    expect([probe.probe, health.isProbeDue(now())]).toEqual([true, false]);
    const change = health.end(probe, { outcome: 'success', nowMs: now(), mayEject: () => true });
    expect(change).toEqual({ state: 'healthy', reason: 'it answered again' });
    expect([health.state, health.outForMs(now())]).toEqual(['healthy', 0]);
  });

  it('is out for longer the next time, unless it was healthy for 300 s in between', () => {
    const { health, run, wait, now } = subject();
    const outAgain = (healthyMs: number) => {
      wait(health.outForMs(now()));
      run('success');
      wait(healthyMs);
      run(...fiveFailures);
      return health.outForMs(now());
    };
    run(...fiveFailures);
    expect([outAgain(1000), outAgain(299_999), outAgain(300_000)]).toEqual([10_000, 20_000, 5000]);
  });

  it('repeats an overtaken probe 5 s later, without a longer time out', () => {
    const { health, run, wait, now } = subject();
    run(...fiveFailures);
    for (let round = 0; round < 3; round += 1) {
      wait(5000);
      expect(run('overtaken')).toBeUndefined();
      expect([health.state, health.outForMs(now())]).toEqual(['ejected', 5000]);
    }
    wait(5000);
    run('failure');
    expect(health.outForMs(now())).toBe(10_000);
  });

  it.each(['busy', 'lacks-model', 'abandoned'] as const)(
    'repeats a probe that ended %s a second later',
    (outcome) => {
      const { health, run, wait, now } = subject();
      run(...fiveFailures);
      wait(5000);
      expect(run(outcome)).toBeUndefined();
      expect([health.state, health.outForMs(now())]).toEqual(['ejected', 1000]);
      wait(1000);
      expect(health.isProbeDue(now())).toBe(true);
    },
  );

  it('is readmitted if it answers as a last resort, and is not out for longer if it does not', () => {
    const { health, run, wait, now } = subject();
    run(...fiveFailures);
    wait(2000);
    expect(run(...times(7, 'failure' as const), 'overtaken')).toBeUndefined();
    expect(health.outForMs(now())).toBe(3000);
    expect(run('success')?.state).toBe('healthy');
  });

  it('learns nothing from an attempt that began before it was ejected, or before it was readmitted', () => {
    const { health, run, wait, now } = subject();
    const end = { nowMs: now(), mayEject: () => true };
    const early = times(12, 0).map(() => health.begin(now()));
    run(...fiveFailures);
    expect(early.splice(0, 6).map((ticket) => health.end(ticket, { ...end, outcome: 'failure' }))).toEqual(
      times(6, undefined),
    );
    expect(health.end(early[0] ?? expect.unreachable(), { ...end, outcome: 'success' })).toBeUndefined();
    expect([health.state, health.outForMs(now())]).toEqual(['ejected', 5000]);
    wait(5000);
    run('success');
    for (const ticket of early) health.end(ticket, { ...end, outcome: 'failure' });
    expect(health.state).toBe('healthy');
  });

  it('is suspect for the same time if no more endpoints may be ejected', () => {
    let mayEject = false;
    const { health, run, wait, now } = subject(() => mayEject);
    expect(run(...fiveFailures)?.state).toBe('suspect');
    expect(health.outForMs(now())).toBe(5000);
    wait(5000);
    mayEject = true;
    expect(run('failure')?.state).toBe('ejected');
    expect(health.outForMs(now())).toBe(10_000);
  });

  it('becomes suspect by stored probe results only while nothing is known about it', () => {
    const unknown = subject();
    expect(unknown.health.markSuspect(0)?.state).toBe('suspect');
    expect(unknown.health.outForMs(0)).toBe(5000);
    const known = subject();
    known.run('success');
    expect(known.health.markSuspect(0)).toBeUndefined();
    expect(known.health.state).toBe('healthy');
  });

  it('trusts an attempt in flight more than stored probe results', () => {
    const { health, now } = subject();
    const ticket = health.begin(now());
    health.markSuspect(now());
    health.end(ticket, { outcome: 'success', nowMs: now(), mayEject: () => true });
    expect(health.state).toBe('healthy');
  });
});
