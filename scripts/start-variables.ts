/** Assigns each `EDGEWISE_…` variable of `npm start` to the worker or the origin, or refuses it with a reason. */
import { workerVariableNames } from '../src/platform/config.ts';
import { originVariableNames } from '../src/platform/node-config.ts';
import { unknownVariables, variablesOfTools } from '../src/platform/unknown-variables.ts';
import { isCountry } from '../src/repository/territories.ts';

type Values = Readonly<Record<string, string>>;

export interface StartVariables {
  readonly worker: Values;
  /** Like `worker`, but not visible in the arguments of a process. */
  readonly workerSecrets: Values;
  readonly origin: Values;
  /** The country that callers appear to come from, for terms with territories; undefined: unknown. */
  readonly country: string | undefined;
  /** One message for each unknown name. */
  readonly warnings: readonly string[];
}

/** Keys that `npm start` sets itself, with the reason. */
const reserved: ReadonlyMap<string, string> = new Map([
  ['EDGEWISE_ORIGIN_POOL', 'the pool is the origin that it starts'],
  ['EDGEWISE_ADMIN_KEY_SHA256', 'it publishes the samples with a key of its own, in .edgewise/admin-key'],
  ['EDGEWISE_TRUSTED_PUBLISHERS', 'it signs the samples with a key of its own, in .edgewise'],
  ['EDGEWISE_HOST', 'the origin answers to the worker beside it alone'],
  ['EDGEWISE_PORT', 'the port of the worker is PORT'],
  ['EDGEWISE_REPOSITORY_DIR', 'the origin serves the models of the worker'],
  ['EDGEWISE_UPSTREAM_URL', 'the origin serves the models of the worker'],
  ['EDGEWISE_UPSTREAM_KEY', 'the origin serves the models of the worker'],
  ['EDGEWISE_CACHE_DIR', 'the folder of all that it keeps is EDGEWISE_STATE'],
]);

/** Keys that go to both servers, because both run in the same place. */
const shared: ReadonlySet<string> = new Set(['EDGEWISE_JURISDICTION', 'EDGEWISE_LOG']);

/**
 * Keys that both servers know go to the worker, which callers talk to; the origin keeps its own, larger limits.
 *
 * @throws Error naming each key that `npm start` sets itself, or an invalid country.
 */
export function assignStartVariables(
  environment: Readonly<Record<string, string | undefined>>,
): StartVariables {
  const given = Object.entries(environment).flatMap(([name, value]): [string, string][] =>
    name.startsWith('EDGEWISE_') && value !== undefined ? [[name, value]] : [],
  );
  const refused = given.flatMap(([name]) => {
    const why = reserved.get(name);
    return why === undefined ? [] : [`${name} cannot be set for npm start: ${why}`];
  });
  if (refused.length > 0) {
    throw new Error(
      `${refused.join('; ')}. Unset it, or start the servers by themselves: npx wrangler dev, npm run origin`,
    );
  }
  const country = environment['EDGEWISE_COUNTRY'];
  if (country !== undefined && !isCountry(country)) {
    throw new Error(
      `EDGEWISE_COUNTRY is ${JSON.stringify(country)}; expected an ISO 3166-1 code of a country, e.g. DE`,
    );
  }
  const toWorker = given.filter(([name]) => workerVariableNames.has(name));
  const toOrigin = given.filter(
    ([name]) => originVariableNames.has(name) && (shared.has(name) || !workerVariableNames.has(name)),
  );
  return {
    worker: Object.fromEntries(toWorker.filter(([name]) => !isSecret(name))),
    workerSecrets: Object.fromEntries(toWorker.filter(([name]) => isSecret(name))),
    origin: Object.fromEntries(toOrigin),
    country,
    warnings: unknownVariables(
      Object.fromEntries(given),
      new Set([...workerVariableNames, ...originVariableNames]),
      variablesOfTools,
    ),
  };
}

function isSecret(name: string): boolean {
  return name.includes('KEY');
}
