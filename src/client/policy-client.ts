/** The stop switch and policy packs over HTTP: the admin routes of a worker. */
import { z } from 'zod';
import {
  type DryRun,
  dryRunSchema,
  type ShownPack,
  shownPackSchema,
  stopSchema,
} from '../governance/policy/schema.ts';
import { createJsonTransport } from './json.ts';
import type { ClientOptions } from './transport.ts';

export type ModelStop = z.output<typeof stopSchema>;

/** Every method throws EdgewiseError with the server's code. */
export interface PolicyClient {
  /** Returns the stopped models, by name. */
  stops(): Promise<Readonly<Record<string, ModelStop>>>;
  /** Stops a model; one that is stopped already keeps its first stop. */
  stop(model: string, reason: string): Promise<ModelStop>;
  /** Returns whether the model was stopped. */
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
  const { get, send } = createJsonTransport(options);
  return {
    stops: async () => (await get('/admin/stops', stopsSchema)).stops,
    stop: (model, reason) => send('PUT', stopPath(model), { body: { reason }, schema: stopSchema }),
    resume: async (model) => (await send('DELETE', stopPath(model), { schema: resumedSchema })).wasStopped,
    packs: async () => (await get('/admin/packs', packsSchema)).packs,
    dryRun: (at) =>
      get(`/admin/packs/dry-run${at === undefined ? '' : `?at=${encodeURIComponent(at)}`}`, dryRunSchema),
  };
}
