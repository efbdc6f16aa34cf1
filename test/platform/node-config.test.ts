import { describe, expect, it } from 'vitest';
import { readNodeConfig } from '../../src/platform/node-config.ts';

const gibibyte = 1024 ** 3;
const directory = { EDGEWISE_REPOSITORY_DIR: '/srv/models' };
const upstream = { EDGEWISE_UPSTREAM_URL: 'https://models.example.com', EDGEWISE_UPSTREAM_KEY: 'ewa_secret' };
const read = (variables: Readonly<Record<string, string>>) => readNodeConfig(variables, 16 * gibibyte);

describe('readNodeConfig()', () => {
  it('admits no callers and listens on loopback if only the models are configured', () => {
    const { http, host, port } = read(directory);
    expect({ host, port }).toEqual({ host: '127.0.0.1', port: 8788 });
    expect(http).toMatchObject({
      openModels: [],
      callerKeyHashes: [],
      adminKeyHash: undefined,
      corsOrigins: [],
    });
  });

  it('uses half of the machine’s memory by default', () => {
    expect(read(directory).memoryCapBytes).toBe(8 * gibibyte);
    expect(read({ ...directory, EDGEWISE_ORIGIN_MEMORY_MIB: '1024' }).memoryCapBytes).toBe(gibibyte);
  });

  it('accepts larger bodies than a worker', () => {
    expect(read(directory).http.body.maxBytes).toBe(64 * 1024 * 1024);
    expect(read({ ...directory, EDGEWISE_MAX_BODY_MIB: '256' }).http.body.maxBytes).toBe(256 * 1024 * 1024);
  });

  it('reads models from a folder, or from an upstream with a cache folder', () => {
    expect(read(directory).repository).toEqual({ directory: '/srv/models' });
    expect(read({ ...upstream, EDGEWISE_CACHE_DIR: '/var/cache/edgewise' }).repository).toEqual({
      url: 'https://models.example.com',
      key: 'ewa_secret',
      cacheDirectory: '/var/cache/edgewise',
    });
  });

  it('tries CUDA first, then the CPU', () => {
    expect(read(directory).executionProviders).toEqual(['cuda', 'cpu']);
    expect(read({ ...directory, EDGEWISE_EXECUTION_PROVIDERS: 'tensorrt, cpu' }).executionProviders).toEqual([
      'tensorrt',
      'cpu',
    ]);
  });

  it('reads the models to load by name and version or alias', () => {
    expect(read({ ...directory, EDGEWISE_PRELOAD: 'mlp, acme/large@stable' }).preload).toEqual([
      { name: 'mlp', version: undefined },
      { name: 'acme/large', version: 'stable' },
    ]);
  });

  it('caps the lower limit of requests at the upper limit', () => {
    expect(read({ ...directory, EDGEWISE_MAX_IN_FLIGHT: '8' })).toMatchObject({
      minInFlight: 8,
      maxInFlight: 8,
    });
  });

  it.each([
    [
      {},
      'EDGEWISE_REPOSITORY_DIR is not set: expected the folder of the models, or EDGEWISE_UPSTREAM_URL instead',
    ],
    [
      { ...directory, ...upstream },
      'EDGEWISE_REPOSITORY_DIR: "/srv/models" is not usable: EDGEWISE_UPSTREAM_URL',
    ],
    [
      { EDGEWISE_UPSTREAM_URL: 'https://x.example' },
      'EDGEWISE_UPSTREAM_KEY is not set: expected a key of EDGEWISE_UPSTREAM_URL',
    ],
    [
      { ...upstream, EDGEWISE_UPSTREAM_URL: 'x.example' },
      'EDGEWISE_UPSTREAM_URL: "x.example" is not usable: expected',
    ],
    [{ ...directory, EDGEWISE_PORT: '70000' }, 'EDGEWISE_PORT: "70000" is not usable'],
    [
      { ...directory, EDGEWISE_THREADS: 'all' },
      'EDGEWISE_THREADS: "all" is not usable: expected a whole number',
    ],
    [
      { ...directory, EDGEWISE_EXECUTION_PROVIDERS: 'gpu' },
      'EDGEWISE_EXECUTION_PROVIDERS: "gpu" is not usable: expected',
    ],
    [{ ...directory, EDGEWISE_EXECUTION_PROVIDERS: ',' }, 'is not usable: expected at least one'],
    [
      { ...directory, EDGEWISE_PRELOAD: 'a b' },
      'EDGEWISE_PRELOAD: "a b" is not usable: expected names of models',
    ],
    [
      { ...directory, EDGEWISE_CALLER_KEYS_SHA256: 'x' },
      'EDGEWISE_CALLER_KEYS_SHA256: its value is not usable',
    ],
  ])('rejects %j: %s', (variables, message) => {
    expect(() => read(variables)).toThrow(message);
  });

  it('does not repeat the upstream’s key', () => {
    const variables = { ...upstream, EDGEWISE_UPSTREAM_KEY: 'ewa secret' };
    expect(() => read(variables)).toThrow(/EDGEWISE_UPSTREAM_KEY: its value is not usable/);
    expect(() => read(variables)).not.toThrow(/ewa secret/);
  });
});
