import { describe, expect, it } from 'vitest';
import { parseOriginPool, servesModel } from '../../src/routing/endpoint-config.ts';

const url = 'https://gpu-1.example.com/models';

describe('parseOriginPool()', () => {
  it('fills in defaults', () => {
    expect(parseOriginPool(JSON.stringify([{ url }]))).toEqual([
      {
        name: 'gpu-1.example.com',
        url,
        protocol: 'oip',
        models: ['*'],
        modelNames: {},
        versions: 'same',
        weight: 1,
        timeoutMs: 30_000,
      },
    ]);
  });

  it('accepts every key', () => {
    const endpoint = {
      name: 'gpu-1',
      url,
      protocol: 'openai',
      models: ['acme/*', 'bge'],
      modelNames: { bge: 'bge_onnx' },
      versions: 'default',
      binary: false,
      region: 'eu-west-1',
      jurisdiction: 'eu',
      weight: 2.5,
      auth: { bearerSecret: 'GPU_KEY' },
      timeoutMs: 500,
    };
    expect(parseOriginPool(JSON.stringify([endpoint]))).toEqual([endpoint]);
  });

  it('names endpoints without a name by their host, port included', () => {
    const names = parseOriginPool('[{"url":"http://127.0.0.1:8001"},{"url":"http://127.0.0.1:8002"}]');
    expect(names.map(({ name }) => name)).toEqual(['127.0.0.1:8001', '127.0.0.1:8002']);
  });

  it.each<[string, unknown, RegExp]>([
    [
      'an address that is none',
      [{ url: 'gpu-1' }],
      /^\[0\]\.url is "gpu-1"; expected an http or https address/,
    ],
    ['another scheme', [{ url: 'ftp://gpu' }], /^\[0\]\.url is "ftp:\/\/gpu"; expected an http/],
    ['no address', [{}], /^\[0\]\.url is missing; expected/],
    [
      'a time that is none',
      [{ url }, { url, timeoutMs: 'soon' }],
      /^\[1\]\.timeoutMs is "soon"; expected a whole number/,
    ],
    ['a weight of nothing', [{ url, weight: 0 }], /^\[0\]\.weight is 0; expected more than 0/],
    ['a key that it does not know', [{ url, colour: 'red' }], /colour/],
    ['two ways to authenticate', [{ url, auth: { bearerSecret: 'A', mtlsBinding: 'B' } }], /^\[0\]\.auth: /],
    [
      'a secret itself',
      [{ url, auth: { bearerSecret: 'hunter2' } }],
      /expected the name of a secret or binding/,
    ],
    [
      'a protocol that it does not speak',
      [{ url, protocol: 'grpc' }],
      /^\[0\]\.protocol is "grpc"; expected "oip" or "openai"/,
    ],
    ['no models', [{ url, models: [] }], /^\[0\]\.models is an empty array; expected at least 1 item/],
    [
      'a model that cannot be',
      [{ url, models: ['a b'] }],
      /^\[0\]\.models\[0\] is "a b"; expected "\*", "org\/\*"/,
    ],
    [
      'a jurisdiction in capitals',
      [{ url, jurisdiction: 'EU' }],
      /^\[0\]\.jurisdiction is "EU"; expected "eu", an ISO 3166 country code/,
    ],
    ['one name twice', [{ url }, { url }], /^two endpoints are called "gpu-1\.example\.com"; expected/],
    ['no list', { url }, /^the whole is /],
    [
      'too many',
      Array.from({ length: 65 }, (_, at) => ({ url, name: `e${at}` })),
      /expected at most 64 endpoints/,
    ],
  ])('refuses %s with the key, the value and what was expected', (_, document, message) => {
    const parse = () => parseOriginPool(JSON.stringify(document));
    expect(parse).toThrow(message);
    expect(parse).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });

  it('refuses text that is not JSON', () => {
    expect(() => parseOriginPool('https://gpu')).toThrow(
      '"https://gpu" is not JSON; expected an array of endpoints',
    );
  });
});

describe('servesModel()', () => {
  const [endpoint] = parseOriginPool(JSON.stringify([{ url, models: ['acme/*', 'bge'] }]));
  it.each([
    ['bge', true],
    ['acme/score', true],
    ['acme', false],
    ['acmee/score', false],
    ['mlp', false],
  ])('%s: %j', (name, expected) => {
    expect(endpoint && servesModel(endpoint, name)).toBe(expected);
  });
});
