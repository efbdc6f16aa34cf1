/**
 * The stop switch: models that nobody is answered by until they are let go on, whatever their licences say. One small
 * document, `accounts/stops.json`, changed by compare-and-swap. In force at once where the change was made, elsewhere when
 * what is known there is 5 seconds old; where it cannot be read, nothing is known to be in service.
 */
import { z } from 'zod';
import type { Clock } from '../../async/clock.ts';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { decodeStored } from '../../repository/documents.ts';
import { isModelName } from '../../repository/name.ts';
import { CachedDocuments } from '../../storage/cached-documents.ts';
import { changeState } from '../../storage/compare-and-swap.ts';
import type { Defer, StateStore } from '../../storage/types.ts';
import { stopSchema } from './schema.ts';
import type { Stop } from './types.ts';

export const stopsSchemaId = 'edgewise.stops.v1';
const key = 'accounts/stops.json';
/** There is one document. */
const theOne = 'stops';
const maxStops = 1000;

const documentSchema = z.strictObject({
  schema: z.literal(stopsSchemaId),
  models: z
    .record(z.string().refine(isModelName), stopSchema)
    .refine((models) => Object.keys(models).length <= maxStops, `wanted at most ${maxStops}`),
});

/** Model name → what stopped it. */
type StopsByModel = ReadonlyMap<string, Stop>;

export interface StopsOptions {
  readonly state: StateStore;
  readonly clock: Clock;
  readonly defer: Defer;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How long what is known may be believed. Default 5000. */
  readonly maxAgeMs?: number;
}

export class Stops {
  readonly #options: StopsOptions;
  readonly #documents: CachedDocuments<StopsByModel>;

  constructor(options: StopsOptions) {
    const { state, clock, defer, maxAgeMs } = options;
    this.#options = options;
    this.#documents = new CachedDocuments({
      state,
      clock,
      defer,
      what: 'what is stopped',
      keyOf: () => key,
      decode: (_, text) => decode(text),
      ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
    });
  }

  /**
   * Answers at once, not by a promise, where that is known.
   *
   * @throws EdgewiseError (by the promise) `records_unavailable` where it cannot be known.
   */
  of(model: string): Stop | undefined | Promise<Stop | undefined> {
    const stops = this.#documents.get(theOne);
    return stops instanceof Promise ? stops.then((known) => known?.get(model)) : stops?.get(model);
  }

  /** As stored now. */
  async all(): Promise<Readonly<Record<string, Stop>>> {
    const entry = await this.#options.state.get(key);
    return entry === undefined ? {} : Object.fromEntries(decode(entry.value));
  }

  /** A model that is stopped stays so since when it was, for the new reason. @throws EdgewiseError `overloaded` */
  async stop(model: string, reason: string): Promise<Stop> {
    let stop: Stop = { since: new Date(this.#options.now()).toISOString(), reason };
    await this.#change((stops) => {
      stop = { since: stops.get(model)?.since ?? stop.since, reason };
      return new Map([...stops, [model, stop]]);
    });
    return stop;
  }

  /** @returns Whether it was stopped. @throws EdgewiseError `overloaded` */
  async resume(model: string): Promise<boolean> {
    let wasStopped = false;
    await this.#change((stops) => {
      wasStopped = stops.has(model);
      return wasStopped ? new Map([...stops].filter(([name]) => name !== model)) : stops;
    });
    return wasStopped;
  }

  async #change(change: (stops: StopsByModel) => StopsByModel): Promise<void> {
    const { clock, state } = this.#options;
    try {
      await changeState(
        state,
        key,
        (value) => {
          const before: StopsByModel = value === undefined ? new Map() : decode(value);
          const after = change(before);
          return after === before ? value : encode(after);
        },
        { what: 'what is stopped', isGrouped: true, clock },
      );
    } finally {
      this.#documents.invalidate(theOne);
    }
  }
}

function decode(text: string): StopsByModel {
  return new Map(Object.entries(decodeStored(documentSchema, text, 'what is stopped').models));
}

/** What could not be read again is not written. */
function encode(stops: StopsByModel): string {
  const checked = checkDocument(documentSchema, { schema: stopsSchemaId, models: Object.fromEntries(stops) });
  if (checked.success) return JSON.stringify(checked.data);
  throw new EdgewiseError('invalid_request', `the stop is not usable: ${checked.complaint}`);
}
