/**
 * What the last probes found of each endpoint, as it lies in KV for isolates that know nothing yet. A hint and never a
 * gate: it is made in one place, from where the network may look otherwise, and may be minutes old.
 */
import { z } from 'zod';
import { capabilitiesSchema } from './capabilities.ts';

export const poolHealthSchemaId = 'edgewise.pool-health.v1';

const endpointStatusSchema = z.object({
  state: z.enum(['up', 'down']),
  /** When it was first found in this state. */
  since: z.iso.datetime(),
  /** As last read from it; absent where it never was. */
  capabilities: capabilitiesSchema.optional(),
});
export type EndpointStatus = z.output<typeof endpointStatusSchema>;

const poolHealthSchema = z.object({
  schema: z.literal(poolHealthSchemaId),
  checkedAt: z.iso.datetime(),
  /** By the endpoint's name. */
  endpoints: z.record(z.string(), endpointStatusSchema),
});
export type PoolHealth = z.output<typeof poolHealthSchema>;

/** One that says nothing new is written again only when it is as old as this: a key of KV takes one write a second, and writes cost. */
const rewriteAfterMs = 600_000;
/** Twice that and the probes have stopped: what they found says nothing of now. */
const outdatedAfterMs = 2 * rewriteAfterMs;

/** What lies in KV, parsed from JSON; undefined for what is not this version's. Never throws. */
export function parsePoolHealth(value: unknown): PoolHealth | undefined {
  return poolHealthSchema.safeParse(value).data;
}

/** Whether `after` is worth writing over `before`. */
export function changed(before: PoolHealth | undefined, after: PoolHealth): boolean {
  if (before === undefined) return true;
  if (Date.parse(after.checkedAt) - Date.parse(before.checkedAt) >= rewriteAfterMs) return true;
  const names = Object.keys(after.endpoints);
  return (
    names.length !== Object.keys(before.endpoints).length ||
    names.some((name) => differs(before.endpoints[name], after.endpoints[name]))
  );
}

function differs(before: EndpointStatus | undefined, after: EndpointStatus | undefined): boolean {
  return (
    before?.state !== after?.state ||
    before?.capabilities?.binary !== after?.capabilities?.binary ||
    before?.capabilities?.server !== after?.capabilities?.server
  );
}

/** Whether the probes are still being made, at `nowMs` since 1970. */
export function isCurrent({ checkedAt }: PoolHealth, nowMs: number): boolean {
  return nowMs - Date.parse(checkedAt) < outdatedAfterMs;
}
