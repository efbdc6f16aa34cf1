/**
 * The stop switch: stopped models are refused to every caller until they are resumed, whatever their licences say. The stops
 * are one small document, `accounts/stops.json`, changed by compare-and-swap. A change takes effect at once in the isolate
 * that made it, and elsewhere within 5 seconds. If the document cannot be read, every model is refused.
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
/** The id of the only document. */
const theOne = 'stops';
const maxStops = 1000;

const documentSchema = z.strictObject({
  schema: z.literal(stopsSchemaId),
  models: z
    .record(z.string().refine(isModelName), stopSchema)
    .refine((models) => Object.keys(models).length <= maxStops, `expected at most ${maxStops}`),
});

/** Model name → its stop. */
type StopsByModel = ReadonlyMap<string, Stop>;

export interface StopsOptions {
  readonly state: StateStore;
  readonly clock: Clock;
  readonly defer: Defer;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How old a cached document may be. Default 5000. */
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
      what: 'the list of stopped models',
      keyOf: () => key,
      decode: (_, text) => decode(text),
      ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
    });
  }

  /** Returns the model's stop, if any. @throws EdgewiseError `records_unavailable` if the stops cannot be read. */
  async of(model: string): Promise<Stop | undefined> {
    return (await this.#documents.get(theOne))?.get(model);
  }

  /** Reads all stops from the store. */
  async all(): Promise<Readonly<Record<string, Stop>>> {
    const entry = await this.#options.state.get(key);
    return entry === undefined ? {} : Object.fromEntries(decode(entry.value));
  }

  /** Stops a model. A model that is stopped already keeps its time and gets the new reason. @throws EdgewiseError `overloaded` */
  async stop(model: string, reason: string): Promise<Stop> {
    let stop: Stop = { since: new Date(this.#options.now()).toISOString(), reason };
    await this.#change((stops) => {
      stop = { since: stops.get(model)?.since ?? stop.since, reason };
      return new Map([...stops, [model, stop]]);
    });
    return stop;
  }

  /** Resumes a model. Returns whether it was stopped. @throws EdgewiseError `overloaded` */
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
        { what: 'the list of stopped models', isGrouped: true, clock },
      );
    } finally {
      this.#documents.invalidate(theOne);
    }
  }
}

function decode(text: string): StopsByModel {
  return new Map(Object.entries(decodeStored(documentSchema, text, 'the list of stopped models').models));
}

/** Checks the document before it is written, so that it can be read again. */
function encode(stops: StopsByModel): string {
  const checked = checkDocument(documentSchema, { schema: stopsSchemaId, models: Object.fromEntries(stops) });
  if (checked.success) return JSON.stringify(checked.data);
  throw new EdgewiseError('invalid_request', `the stop is not usable: ${checked.complaint}`);
}
