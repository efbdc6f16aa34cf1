/** Members of parsed JSON. */

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What parsed JSON holds under `key`; undefined where it is no object. */
export function member(value: unknown, key: string): unknown {
  return isObject(value) ? value[key] : undefined;
}
