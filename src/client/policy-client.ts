/** The stop switch and policy packs over HTTP: the admin routes of a worker. */
import { z } from 'zod';
import {
  type DryRun,
  dryRunSchema,
  type ShownPack,
  shownPackSchema,
  stopSchema,
} from '../governance/policy/schema.ts';
import { jsonAnswer } from './json.ts';
import { type ClientOptions, createTransport } from './transport.ts';

export type ModelStop = z.output<typeof stopSchema>;

/** Every method throws EdgewiseError with the server's code. */
export interface PolicyClient {
  /** By model name. */
  stops(): Promise<Readonly<Record<string, ModelStop>>>;
  /** A model that is stopped stays so since when it was. */
  stop(model: string, reason: string): Promise<ModelStop>;
  /** @returns Whether it was stopped. */
  resume(model: string): Promise<boolean>;
  packs(): Promise<readonly ShownPack[]>;
  /** @param at A date, or a time with its zone. Default: now. */
  dryRun(at?: string): Promise<DryRun>;
}

const stopsSchema = z.object({ stops: z.record(z.string(), stopSchema) });
const packsSchema = z.object({ packs: z.array(shownPackSchema) });
const resumedSchema = z.object({ wasStopped: z.boolean() });

const stopPath = (model: string) => `/admin/models/${encodeURIComponent(model)}/stop`;

export function createPolicyClient(options: ClientOptions): PolicyClient {
  const { exchange } = createTransport(options);
  const get = <S extends z.ZodType>(path: string, schema: S): Promise<z.output<S>> =>
    exchange({ method: 'GET', path, retry: 'idempotent', read: jsonAnswer(schema) });
  return {
    stops: async () => (await get('/admin/stops', stopsSchema)).stops,
    stop: (model, reason) =>
      exchange({
        method: 'PUT',
        path: stopPath(model),
        retry: 'idempotent',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ reason }),
        read: jsonAnswer(stopSchema),
      }),
    async resume(model) {
      const answer = await exchange({
        method: 'DELETE',
        path: stopPath(model),
        retry: 'idempotent',
        read: jsonAnswer(resumedSchema),
      });
      return answer.wasStopped;
    },
    packs: async () => (await get('/admin/packs', packsSchema)).packs,
    dryRun: (at) =>
      get(`/admin/packs/dry-run${at === undefined ? '' : `?at=${encodeURIComponent(at)}`}`, dryRunSchema),
  };
}
