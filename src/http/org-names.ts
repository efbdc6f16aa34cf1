/** Matches model paths whose name is two raw segments: some clients do not escape the slash of `org/model`. */
const rawName =
  /^(\/v1\/models|\/v2(?:\/repository)?\/models)\/([^/%]+)\/([^/%]+)((?:\/versions\/[^/]+)?(?:\/(?:ready|config|stats|infer|files\/[^/]+))?|\/(?:load|unload|terms))$/;

/**
 * Returns the path with the slash inside the model's name escaped, or undefined if the path has no such slash. Called only for
 * paths that match no route, so callers must escape the name of a model that is named like an action (`acme/ready`).
 *
 * A bare name is only read: a POST to `/v2/models/<name>/generate` is for an action that is not offered.
 */
export function escapeOrgName(path: string, method: string): string | undefined {
  const [, prefix, org, name, rest = ''] = rawName.exec(path) ?? [];
  if (org === undefined) return undefined;
  const isRead = method === 'GET' || method === 'HEAD';
  if (!isRead && /^(?:\/versions\/[^/]+)?$/.test(rest)) return undefined;
  return `${prefix}/${org}%2F${name}${rest}`;
}
