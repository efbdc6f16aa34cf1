/** Matches `model` or `org/model`: letters, digits, dot, dash, underscore; each part starts with a letter or a digit. */
const modelName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,63})?$/;
/** Matches digits only, without a leading zero, as Triton names version folders. */
const modelVersion = /^[1-9][0-9]{0,14}$/;
const aliasName = /^[a-z][a-z0-9-]{0,31}$/;

/** The forms of names as regular expressions, for the description of the API. */
export const nameForms = {
  model: modelName.source,
  version: modelVersion.source,
  alias: aliasName.source,
  modelPattern: `${modelName.source}|^[A-Za-z0-9][A-Za-z0-9._-]{0,63}/\\*$|^\\*$`,
};

/** `GET /v2/models/stats` would shadow a model named `stats` (Triton has the same clash). */
const reservedNames = new Set(['stats']);

export function isModelName(value: string): boolean {
  return modelName.test(value) && !reservedNames.has(value);
}

export function isModelVersion(value: string): boolean {
  return modelVersion.test(value);
}

export function isAliasName(value: string): boolean {
  return aliasName.test(value);
}

/** Reports whether `value` is a model's name, `org/*` or `*`: the ways in which configuration names models. */
export function isModelPattern(value: string): boolean {
  return value === '*' || isModelName(value.endsWith('/*') ? `${value.slice(0, -2)}/any` : value);
}

/** Reports whether `pattern` (see `isModelPattern`) names the model. */
export function matchesModel(pattern: string, name: string): boolean {
  return (
    pattern === '*' || pattern === name || (pattern.endsWith('/*') && name.startsWith(pattern.slice(0, -1)))
  );
}

/** Returns a name from outside in quotes, for messages: control characters escaped, and at most `maxLength` characters. */
export function quoteName(name: string, maxLength = 100): string {
  return JSON.stringify(name.slice(0, maxLength));
}

/** Compares two version numbers for a sort that begins with the highest. */
export function compareVersions(a: string, b: string): number {
  return Number(b) - Number(a);
}
