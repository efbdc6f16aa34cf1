/**
 * The last probe results of each endpoint, stored in KV for isolates that know nothing yet. They are a hint, never a gate:
 * the probes run in one location, whose network may differ, and the results may be minutes old.
 */
import { z } from 'zod';
import { capabilitiesSchema } from './capabilities.ts';

export const poolHealthSchemaId = 'edgewise.pool-health.v1';

const endpointStatusSchema = z.object({
  state: z.enum(['up', 'down']),
  /** When it was first found in this state. */
  since: z.iso.datetime(),
  /** The capabilities last read from it; absent if they were never read. */
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

/** Unchanged results are written again only after this time: a KV key accepts one write a second, and writes cost. */
const rewriteAfterMs = 600_000;
/** After twice that time the probes have stopped, and the results no longer describe the present. */
const outdatedAfterMs = 2 * rewriteAfterMs;

/** Returns the stored document; undefined for anything else, such as another schema version. Never throws. */
export function parsePoolHealth(value: unknown): PoolHealth | undefined {
  return poolHealthSchema.safeParse(value).data;
}

/** Whether `after` is worth writing over `before`. */
export function isWorthWriting(before: PoolHealth | undefined, after: PoolHealth): boolean {
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

/** Whether the results are recent enough to use at `nowMs` (since 1970). */
export function isCurrent({ checkedAt }: PoolHealth, nowMs: number): boolean {
  return nowMs - Date.parse(checkedAt) < outdatedAfterMs;
}
