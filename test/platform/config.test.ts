import { describe, expect, it } from 'vitest';
import { readConfig as readVariables } from '../../src/platform/config.ts';
import { importGovernanceKeys } from '../../src/platform/governance-config.ts';
import { testGovernanceBindings, testLogVerifierKey } from '../support/governance-keys.ts';

/** Reads a configuration with the required secrets of an edge. */
const readConfig = (variables: Record<string, string>) =>
  readVariables({ ...testGovernanceBindings, ...variables });

describe('readConfig()', () => {
  it('admits no callers if nothing is configured', () => {
    const { http } = readConfig({});
    expect(http.openModels).toEqual([]);
    expect(http.adminKeyHash).toBeUndefined();
    expect(http.callerKeyHashes).toEqual([]);
    expect(http.corsOrigins).toEqual([]);
  });

  it('caps the WASM memory at 96 MiB unless told otherwise', () => {
    expect(readConfig({}).memoryCapBytes).toBe(96 * 1024 * 1024);
    expect(readConfig({ EDGEWISE_MEMORY_CAP_MIB: '112' }).memoryCapBytes).toBe(112 * 1024 * 1024);
  });

  it.each(['https://app.example.com/', 'app.example.com', 'https://a.example/x', 'https://*.example.com'])(
    'refuses %s as a web origin, which no browser would send',
    (origin) => {
      expect(() => readConfig({ EDGEWISE_CORS_ORIGINS: origin })).toThrow('expected web origins');
    },
  );

  it('accepts web origins in the form that browsers send', () => {
    const origins = ['https://app.example.com', 'http://localhost:5173', 'chrome-extension://abcdef'];
    expect(readConfig({ EDGEWISE_CORS_ORIGINS: origins.join(',') }).http.corsOrigins).toEqual(origins);
    expect(readConfig({ EDGEWISE_CORS_ORIGINS: '*' }).http.corsOrigins).toEqual(['*']);
  });

  it('rejects two letters that are not a country code as a jurisdiction', () => {
    for (const code of ['aa', 'uk', 'EU']) {
      expect(() => readConfig({ EDGEWISE_JURISDICTION: code })).toThrow('an ISO 3166 country code');
    }
    for (const code of ['eu', 'de', 'fedramp-high']) {
      expect(readConfig({ EDGEWISE_JURISDICTION: code }).placement.jurisdiction).toBe(code);
    }
  });

  it('reads lists with blanks around the commas', () => {
    expect(readConfig({ EDGEWISE_OPEN_MODELS: 'digits, acme/*,' }).http.openModels).toEqual([
      'digits',
      'acme/*',
    ]);
  });

  it('names the key, the value and what was expected', () => {
    expect(() => readConfig({ EDGEWISE_MEMORY_CAP_MIB: 'lots' })).toThrow(
      'configuration EDGEWISE_MEMORY_CAP_MIB: "lots" is not usable: expected a whole number',
    );
    expect(() => readConfig({ EDGEWISE_MEMORY_CAP_MIB: '8' })).toThrow('EDGEWISE_MEMORY_CAP_MIB');
  });

  it('does not repeat an unusable secret', () => {
    expect(() => readConfig({ EDGEWISE_ADMIN_KEY_SHA256: 'hunter2' })).toThrow(/EDGEWISE_ADMIN_KEY_SHA256/);
    expect(() => readConfig({ EDGEWISE_ADMIN_KEY_SHA256: 'hunter2' })).not.toThrow(/hunter2/);
  });

  it('by default has no origin pool, hedges, and allows one request one second at the edge', () => {
    const { originPool, hedging, placement } = readConfig({});
    expect(originPool).toEqual([]);
    expect(hedging).toBe(true);
    expect(placement).toEqual({ jurisdiction: undefined, edgeBudgetMs: 1000, maxEdgeWaitMs: 500 });
  });

  it('reads the origin pool, and names the wrong key in it', () => {
    const pool = (timeoutMs: unknown) =>
      JSON.stringify([{ name: 'gpu', url: 'https://gpu.example.com', timeoutMs }]);
    expect(readConfig({ EDGEWISE_ORIGIN_POOL: pool(500) }).originPool).toMatchObject([
      { name: 'gpu', timeoutMs: 500 },
    ]);
    expect(() => readConfig({ EDGEWISE_ORIGIN_POOL: pool('soon') })).toThrow(
      /^configuration EDGEWISE_ORIGIN_POOL: its value is not usable: \[0\]\.timeoutMs is "soon"; expected a whole number/,
    );
  });

  it('does not start without the keys of governance', () => {
    for (const key of ['EDGEWISE_SIGNING_KEYS', 'EDGEWISE_LOG_KEY', 'EDGEWISE_RECORDS_KEYS']) {
      expect(() => readVariables({ ...testGovernanceBindings, [key]: undefined }), key).toThrow(
        `configuration ${key} is not set: expected the value that \`edgewise secrets generate\` prints`,
      );
    }
  });

  it('imports the keys, and names an unusable one without its value', async () => {
    const { governance } = readConfig({});
    const { issuer, log, ring } = await importGovernanceKeys(governance);
    expect(issuer).toBe('edgewise');
    expect(log).toEqual({ origin: 'log.edgewise.test/receipts', verifierKey: testLogVerifierKey });
    expect(ring.publicJwks.keys).toHaveLength(2);
    for (const wrong of [
      { signingKeys: '{"keys":["hunter2"]}' },
      { logKey: 'hunter2' },
      { recordsKeys: ['hunter2'] },
      { witnesses: ['hunter2'] },
    ]) {
      await expect(importGovernanceKeys({ ...governance, ...wrong })).rejects.toThrow(/^(?!.*hunter2)/s);
    }
  });
});
