/** Names in the environment that look like ours and are not: most are typing mistakes, and silence would hide them. */
import { nearestName } from '../near-name.ts';
import type { Variables } from './variables.ts';

/** What the command line, `npm start` and the tests read from the same environment. */
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
 * A warning for each name that starts like a configuration key and is none of `known`, with the key that it is near.
 *
 * @param others Names that mean something elsewhere, so that nobody is warned of them.
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
      return `${name} is no configuration key of this server and has no effect${hint}`;
    });
}

/** All keys share it, so it would make any two of them near. */
function withoutPrefix(name: string): string {
  return name.replace(/^EDGEWISE_/i, '');
}
