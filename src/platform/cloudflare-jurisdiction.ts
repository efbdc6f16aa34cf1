/**
 * Durable Objects in a jurisdiction: objects of a namespace that is bound to one are made there, and keep what they store
 * there. They are other objects than those of the same name without it, so the jurisdiction of a deployment is chosen
 * before its first day. R2 buckets are bound where they are created (`wrangler r2 bucket create --jurisdiction`, and
 * `jurisdiction` of the binding in wrangler.toml).
 */

/** Those that Durable Objects have, by the names that the configuration uses. */
const offered = ['eu', 'us', 'fedramp', 'fedramp-high'] as const;

/** workerd by itself, as under `wrangler dev`, has no places: it says so in these words, and Cloudflare never does. */
const notHere = /not implemented in workerd/;

/**
 * The namespace, its objects bound to the jurisdiction where the platform has it; as it is where none is configured, or
 * one that the platform does not know: where its objects are is not promised then.
 *
 * @throws what the platform throws: without the bond nothing is stored.
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
    if (error instanceof Error && notHere.test(error.message)) return namespace;
    throw error;
  }
}
