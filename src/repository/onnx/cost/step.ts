/** The contract between the interpreter and the operators that run graphs. */
import type { GraphProto, NodeProto } from '../proto-types.ts';
import type { Environment } from './environment.ts';
import type { Knowledge } from './knowledge.ts';
import type { SizingInput } from './operators.ts';

export interface Finding {
  readonly node: NodeProto;
  readonly decides: string;
  readonly sources: bigint;
}

/** A node as it is reached by one chain of calls and subgraphs, with the knowledge from earlier rounds. */
export class Place {
  readonly #within = new Map<unknown, Place>();
  /** Knowledge about the values that a loop carries from one iteration to the next, by position. */
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
  /** Defines every value of the graph in `environment`, which has its inputs already. Returns its outputs. */
  runGraph(graph: GraphProto, environment: Environment, place: Place): Knowledge[];
  /** Adds `next` to the knowledge about the value that a loop carries at `index`. Returns all that is known about it. */
  carry(place: Place, index: number, next: Knowledge): Knowledge;
  /** Records that `known` decides a cost, and has to be bounded as `sizing.need` says. */
  size(node: NodeProto, known: Knowledge, sizing: Omit<SizingInput, 'input'>): void;
  /** Records that the values of `sources` decide a cost without a bound. */
  find(node: NodeProto, decides: string, sources: bigint): void;
  /** Records that the values of `sources` decide a cost within bounds. */
  drive(sources: bigint): void;
}

/** One node to interpret. */
export interface Step {
  readonly interpreter: Surroundings;
  readonly node: NodeProto;
  readonly inputs: readonly (Knowledge | undefined)[];
  readonly environment: Environment;
  readonly place: Place;
}
