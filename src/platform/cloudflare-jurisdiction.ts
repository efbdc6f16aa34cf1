/**
 * Durable Objects in a jurisdiction. Objects of a namespace restricted to a jurisdiction are created there and store their
 * data there. They are different objects from those of the same name without the restriction, so choose the jurisdiction
 * of a deployment before its first use. R2 buckets are restricted when they are created (`wrangler r2 bucket create
 * --jurisdiction`, and `jurisdiction` of the binding in wrangler.toml).
 */

/** Jurisdictions of Durable Objects, by the names that the configuration uses. */
const offered = ['eu', 'us', 'fedramp', 'fedramp-high'] as const;

/** Error of workerd on its own, as under `wrangler dev`, which has no jurisdictions. Cloudflare never throws it. */
const notInWorkerd = /not implemented in workerd/;

/**
 * Returns the namespace restricted to the jurisdiction. Returns it unchanged, so that the location of its objects is not
 * guaranteed, if no jurisdiction is configured or the platform does not offer it.
 *
 * @throws what the platform throws: without the restriction nothing may be stored.
 */
export function inJurisdiction<T extends Rpc.DurableObjectBranded | undefined>(
  namespace: DurableObjectNamespace<T>,
  jurisdiction: string | undefined,
): DurableObjectNamespace<T> {
  const known = offered.find((name) => name === jurisdiction);
  if (known === undefined) return namespace;
  try {
    return namespace.jurisdiction(known);
  } catch (error) {
    if (error instanceof Error && notInWorkerd.test(error.message)) return namespace;
    throw error;
  }
}
