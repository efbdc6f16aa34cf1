export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Returns the member `key` of parsed JSON; undefined if the value is not an object. */
export function member(value: unknown, key: string): unknown {
  return isObject(value) ? value[key] : undefined;
}
