import { describe, expect, it } from 'vitest';
import { assignStartVariables } from '../../scripts/start-variables.ts';
import { readConfig } from '../../src/platform/config.ts';
import { readNodeConfig } from '../../src/platform/node-config.ts';
import { testGovernanceBindings } from '../support/governance-keys.ts';
import { testService } from '../support/services.ts';

const worker = (variables: Record<string, string>) => readConfig({ ...testGovernanceBindings, ...variables });
const origin = (variables: Record<string, string>) =>
  readNodeConfig({ EDGEWISE_REPOSITORY_DIR: '/models', ...variables }, 2 ** 30);

describe('a name that starts with EDGEWISE_ and is not a key', () => {
  it.each([
    ['EDGEWISE_CORS_ORIGIN', 'EDGEWISE_CORS_ORIGINS'],
    ['EDGEWISE_MAX_BODY_MB', 'EDGEWISE_MAX_BODY_MIB'],
    ['EDGEWISE_OPENMODELS', 'EDGEWISE_OPEN_MODELS'],
    ['edgewise_log', 'EDGEWISE_LOG'],
  ])('%s causes a warning with the nearest key', (name, near) => {
    const warning = `${name} is not a configuration key of this server and has no effect; did you mean ${near}?`;
    expect(worker({ [name]: '1' }).warnings).toEqual([warning]);
    expect(origin({ [name]: '1' }).warnings).toEqual([warning]);
  });

  it('causes a warning without a suggestion if no key is near', () => {
    expect(worker({ EDGEWISE_COLOUR: 'blue' }).warnings).toEqual([
      'EDGEWISE_COLOUR is not a configuration key of this server and has no effect',
    ]);
  });

  it('causes no warning if the origin pool names it as a secret', () => {
    const pool = [{ name: 'gpu', url: 'https://gpu.example', auth: { bearerSecret: 'EDGEWISE_GPU_KEY' } }];
    const variables = { EDGEWISE_ORIGIN_POOL: JSON.stringify(pool), EDGEWISE_GPU_KEY: 'secret' };
    expect(worker(variables).warnings).toEqual([]);
    expect(origin({ EDGEWISE_URL: 'http://localhost:8787' }).warnings).toEqual([]);
  });

  it('is in the log of a server that starts', async () => {
    const { logLines } = await testService({ variables: { EDGEWISE_CORS_ORIGIN: '*' } });
    expect(logLines.join('\n')).toMatch(/"event":"configuration".*did you mean EDGEWISE_CORS_ORIGINS\?/);
  });
});

describe('variables of npm start', () => {
  it('go to the server that has the key, secrets separately', () => {
    const given = {
      PATH: '/usr/bin',
      EDGEWISE_CORS_ORIGINS: 'https://app.example',
      EDGEWISE_MAX_JSON_MIB: '4',
      EDGEWISE_RECORDS_KEYS: 'secret',
      EDGEWISE_THREADS: '2',
      EDGEWISE_JURISDICTION: 'eu',
      EDGEWISE_STATE: '/tmp/state',
      EDGEWISE_COUNTRY: 'DE',
    };
    expect(assignStartVariables(given)).toEqual({
      worker: {
        EDGEWISE_CORS_ORIGINS: 'https://app.example',
        EDGEWISE_MAX_JSON_MIB: '4',
        EDGEWISE_JURISDICTION: 'eu',
      },
      workerSecrets: { EDGEWISE_RECORDS_KEYS: 'secret' },
      origin: { EDGEWISE_THREADS: '2', EDGEWISE_JURISDICTION: 'eu' },
      country: 'DE',
      warnings: [],
    });
  });

  it('are rejected by name if npm start sets them itself', () => {
    expect(() => assignStartVariables({ EDGEWISE_ORIGIN_POOL: '[]', EDGEWISE_PORT: '1' })).toThrow(
      'EDGEWISE_ORIGIN_POOL cannot be set for npm start: the pool is the origin that it starts; EDGEWISE_PORT cannot be set for npm start: the port of the worker is PORT. Unset it',
    );
  });

  it('are rejected if EDGEWISE_COUNTRY is not a country', () => {
    expect(() => assignStartVariables({ EDGEWISE_COUNTRY: 'UK' })).toThrow(
      'EDGEWISE_COUNTRY is "UK"; expected an ISO 3166-1 code of a country, e.g. DE',
    );
  });

  it('cause a warning if no server has the key', () => {
    expect(assignStartVariables({ EDGEWISE_CORS_ORIGIN: '*' }).warnings).toEqual([
      'EDGEWISE_CORS_ORIGIN is not a configuration key of this server and has no effect; did you mean EDGEWISE_CORS_ORIGINS?',
    ]);
  });
});
