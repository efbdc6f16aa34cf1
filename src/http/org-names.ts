/** Model paths whose name is two raw segments, as clients write it that do not escape the slash of `org/model`. */
const rawName =
  /^(\/v1\/models|\/v2(?:\/repository)?\/models)\/([^/%]+)\/([^/%]+)((?:\/versions\/[^/]+)?(?:\/(?:ready|config|stats|infer|files\/[^/]+))?|\/(?:load|unload|terms))$/;

/**
 * The same path with the slash inside the name escaped; undefined where there is none to escape. Asked only of paths that
 * no route has, so a model of an organisation that is called like a verb (`acme/ready`) must be escaped by its caller.
 *
 * The bare name is read with GET alone: what is posted to `/v2/models/<name>/generate` is for an action that is not here.
 */
export function escapeOrgName(path: string, method: string): string | undefined {
  const [, prefix, org, name, rest = ''] = rawName.exec(path) ?? [];
  if (org === undefined) return undefined;
  const isRead = method === 'GET' || method === 'HEAD';
  if (!isRead && /^(?:\/versions\/[^/]+)?$/.test(rest)) return undefined;
  return `${prefix}/${org}%2F${name}${rest}`;
}
