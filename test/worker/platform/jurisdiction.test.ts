import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { inJurisdiction } from '../../../src/platform/cloudflare-jurisdiction.ts';

/** A namespace that does what Cloudflare's documentation says. */
function namespaceWith(jurisdiction: (name: string) => unknown): typeof env.LOG {
  return Object.assign(Object.create(env.LOG), { jurisdiction });
}

describe('inJurisdiction()', () => {
  it.each(['eu', 'us', 'fedramp', 'fedramp-high'])('binds the objects to %s', (name) => {
    const bound: unknown[] = [];
    const within = { within: name };
    const namespace = namespaceWith((asked) => {
      bound.push(asked);
      return within;
    });
    expect(inJurisdiction(namespace, name)).toBe(within);
    expect(bound).toEqual([name]);
  });

  it.each([undefined, 'ch', 'EU', 'eu-near'])('leaves the namespace as it is for %s', (name) => {
    const namespace = namespaceWith(() => expect.unreachable());
    expect(inJurisdiction(namespace, name)).toBe(namespace);
  });

  it('works where there are no jurisdictions: in workerd by itself', () => {
    expect(() => env.LOG.jurisdiction('eu')).toThrow('not implemented in workerd');
    expect(inJurisdiction(env.LOG, 'eu')).toBe(env.LOG);
  });

  it('stores nothing where the platform refuses the bond', () => {
    const namespace = namespaceWith(() => {
      throw new Error('no such jurisdiction');
    });
    expect(() => inJurisdiction(namespace, 'eu')).toThrow('no such jurisdiction');
  });
});
