/** What goes wrong, and how it is put right. */
import type { Fault } from '../../test/support/faulty-origin.ts';
import type { FaultyOrigin } from '../../test/support/faulty-origins.ts';

/** `originOnly`: a model that only the origin can have. `fits`: one that fits the edge, wished at the origin. */
export type Kind = 'originOnly' | 'fits';

export interface Scenario {
  readonly name: string;
  readonly kinds: readonly Kind[];
  readonly hedging: boolean;
  /** Whether an endpoint lives all the time, so that no request may fail. */
  readonly isOneAlive: boolean;
  /** Whether the fault is the first endpoint's alone. */
  readonly isOfOne: boolean;
  readonly duringMs: number;
  begin(origins: readonly FaultyOrigin[]): Promise<void>;
  end(origins: readonly FaultyOrigin[]): Promise<void>;
}

/** Long enough for an endpoint that fails to be put out: what fails is seldom chosen. */
const duringMs = 16_000;
const common = { kinds: ['originOnly'], hedging: true, isOneAlive: true, isOfOne: true, duringMs } as const;

/** Of the first endpoint. */
function switched(fault: Fault): Pick<Scenario, 'begin' | 'end'> {
  return {
    begin: async ([first]) => first?.send(fault),
    end: async ([first]) => first?.send('none'),
  };
}

const slow = { ...common, ...switched('slow') };
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
  { ...common, ...switched('error'), name: 'one answers 500' },
  { ...common, ...switched('hang'), name: 'one never answers' },
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
