/** The faults, and how each is repaired. */
import type { Fault } from '../../test/support/faulty-origin.ts';
import type { FaultyOrigin } from '../../test/support/faulty-origins.ts';

/** `originOnly`: a model that only the origin can hold. `fits`: a model that fits the edge, requested from the origin. */
export type Kind = 'originOnly' | 'fits';

export interface Scenario {
  readonly name: string;
  readonly kinds: readonly Kind[];
  readonly hedging: boolean;
  /** True if an endpoint lives all the time, so that no request may fail. */
  readonly isOneAlive: boolean;
  /** True if only the first endpoint is faulty. */
  readonly isOfOne: boolean;
  readonly duringMs: number;
  begin(origins: readonly FaultyOrigin[]): Promise<void>;
  end(origins: readonly FaultyOrigin[]): Promise<void>;
}

/** Long enough to eject a failing endpoint, which is picked seldom. */
const duringMs = 16_000;
const common = { kinds: ['originOnly'], hedging: true, isOneAlive: true, isOfOne: true, duringMs } as const;

/** Switches the first endpoint to `fault`, and back. */
function switchFirst(fault: Fault): Pick<Scenario, 'begin' | 'end'> {
  return {
    begin: async ([first]) => first?.send(fault),
    end: async ([first]) => first?.send('none'),
  };
}

const slow = { ...common, ...switchFirst('slow') };
const stutter: Omit<Scenario, 'name'> = {
  ...common,
  isOfOne: false,
  begin: async (origins) => {
    for (const origin of origins) origin.send('stutter');
  },
  end: async (origins) => {
    for (const origin of origins) origin.send('none');
  },
};

export const scenarios: readonly Scenario[] = [
  {
    ...common,
    name: 'one is killed',
    begin: async ([first]) => first?.kill(),
    end: async ([first]) => first?.restart(),
  },
  { ...common, ...switchFirst('error'), name: 'one answers 500' },
  { ...common, ...switchFirst('hang'), name: 'one never answers' },
  { ...slow, name: 'one is 10 × slower' },
  { ...slow, name: 'one is 10 × slower, hedging off', hedging: false },
  { ...stutter, name: 'each stutters: 2 % of runs 10 × slower' },
  { ...stutter, name: 'each stutters, hedging off', hedging: false },
  {
    ...common,
    name: 'all are killed',
    kinds: ['originOnly', 'fits'],
    isOneAlive: false,
    isOfOne: false,
    begin: async (origins) => {
      await Promise.all(origins.map((origin) => origin.kill()));
    },
    end: async (origins) => {
      await Promise.all(origins.map((origin) => origin.restart()));
    },
  },
];
