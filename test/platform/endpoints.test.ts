import { describe, expect, it } from 'vitest';
import { connectEndpoints } from '../../src/platform/endpoints.ts';
import { parseOriginPool } from '../../src/routing/endpoint-config.ts';

const pool = (auth: unknown) =>
  parseOriginPool(JSON.stringify([{ name: 'gpu', url: 'https://gpu.example.com', auth }]));

describe('connectEndpoints()', () => {
  it('sends the secret that the configuration names', () => {
    const [endpoint] = connectEndpoints(pool({ bearerSecret: 'GPU_KEY' }), { GPU_KEY: 's3cret' });
    expect(endpoint?.headers).toEqual({ Authorization: 'Bearer s3cret' });
  });

  it.each(['mtlsBinding', 'vpcBinding'])('sends through the binding of %s', async (kind) => {
    const asked: string[] = [];
    const binding = {
      fetch(this: unknown, url: string) {
        expect(this).toBe(binding);
        asked.push(url);
        return Promise.resolve(new Response('ok'));
      },
    };
    const [endpoint] = connectEndpoints(pool({ [kind]: 'PRIVATE' }), { PRIVATE: binding });
    await endpoint?.fetch('https://gpu.example.com/v2', {});
    expect(asked).toEqual(['https://gpu.example.com/v2']);
    expect(endpoint?.headers).toEqual({});
  });

  it.each<[string, unknown, Record<string, unknown>, string]>([
    [
      'a secret that is not set',
      { bearerSecret: 'GPU_KEY' },
      {},
      'names the secret GPU_KEY, which is not set',
    ],
    ['an empty secret', { bearerSecret: 'GPU_KEY' }, { GPU_KEY: '' }, 'the secret GPU_KEY'],
    ['a secret with a line end', { bearerSecret: 'GPU_KEY' }, { GPU_KEY: 'a\nb' }, 'the secret GPU_KEY'],
    ['a binding that is not there', { vpcBinding: 'NET' }, {}, 'names the binding NET, which is not set'],
    ['a binding that is a text', { mtlsBinding: 'CERT' }, { CERT: 'x' }, 'names the binding CERT'],
  ])('fails the start for %s, without the value of a secret', (_, auth, environment, message) => {
    expect(() => connectEndpoints(pool(auth), environment)).toThrow(message);
    expect(() => connectEndpoints(pool(auth), environment)).not.toThrow('a\nb');
  });
});
