/** What an operator that runs graphs needs of what goes through them. */
import type { GraphProto, NodeProto } from '../proto-types.ts';
import type { Environment } from './environment.ts';
import type { Knowledge } from './knowledge.ts';
import type { SizingInput } from './operators.ts';

export interface Finding {
  readonly node: NodeProto;
  readonly decides: string;
  readonly sources: bigint;
}

/** A node as it is reached by one chain of calls and subgraphs, and what was learned there in earlier rounds. */
export class Place {
  readonly #within = new Map<unknown, Place>();
  /** Of what a loop carries from one iteration to the next, by position. */
  readonly carried: Knowledge[] = [];

  at(key: unknown): Place {
    const known = this.#within.get(key);
    if (known !== undefined) return known;
    const place = new Place();
    this.#within.set(key, place);
    return place;
  }
}

export interface Surroundings {
  /** Defines every value of the graph in `environment`; its inputs stand there already. Returns its outputs. */
  runGraph(graph: GraphProto, environment: Environment, place: Place): Knowledge[];
  /** What a loop carries at `index`, after `next` was learned of it. */
  carry(place: Place, index: number, next: Knowledge): Knowledge;
  /** Notes that `known` decides how much there is to compute, and that it has to be bounded as `need` says. */
  size(node: NodeProto, known: Knowledge, sizing: Omit<SizingInput, 'input'>): void;
  /** Notes that values of `sources` decide, without a bound, how much there is to compute. */
  find(node: NodeProto, decides: string, sources: bigint): void;
  /** Notes that values of `sources` decide, within bounds, how much there is to compute. */
  drive(sources: bigint): void;
}

/** One node on its way. */
export interface Step {
  readonly interpreter: Surroundings;
  readonly node: NodeProto;
  readonly inputs: readonly (Knowledge | undefined)[];
  readonly environment: Environment;
  readonly place: Place;
}
