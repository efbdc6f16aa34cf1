/** Warns about environment variables that look like configuration keys and are not, most of which are typing mistakes. */
import { nearestName } from '../near-name.ts';
import type { Variables } from './variables.ts';

/** Names that the command line, `npm start` and the tests read from the same environment. */
export const variablesOfTools: ReadonlySet<string> = new Set([
  'EDGEWISE_URL',
  'EDGEWISE_KEY',
  'EDGEWISE_ADMIN_KEY',
  'EDGEWISE_PUBLISHER_KEY',
  'EDGEWISE_STATE',
  'EDGEWISE_COUNTRY',
  'EDGEWISE_STARTER',
  'EDGEWISE_STARTER_PATIENCE_MS',
  'EDGEWISE_SOAK_CYCLES',
]);

/**
 * Returns a warning for each name that starts like a configuration key and is not in `known`, with the nearest known key.
 *
 * @param others Names with a meaning for other programs; no warning is given for them.
 */
export function unknownVariables(
  variables: Variables,
  known: ReadonlySet<string>,
  others: ReadonlySet<string> = new Set(),
): readonly string[] {
  return Object.keys(variables)
    .filter((name) => /^EDGEWISE_/i.test(name) && !known.has(name) && !others.has(name))
    .sort()
    .map((name) => {
      const near = nearestName(withoutPrefix(name), [...known].map(withoutPrefix));
      const hint = near === undefined ? '' : `; did you mean EDGEWISE_${near}?`;
      return `${name} is not a configuration key of this server and has no effect${hint}`;
    });
}

/** Removes the prefix, which all keys share: it would make any two keys similar. */
function withoutPrefix(name: string): string {
  return name.replace(/^EDGEWISE_/i, '');
}
