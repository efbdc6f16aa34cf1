import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { inJurisdiction } from '../../../src/platform/cloudflare-jurisdiction.ts';

/** A namespace that behaves as Cloudflare documents it. */
function namespaceWith(jurisdiction: (name: string) => unknown): typeof env.LOG {
  return Object.assign(Object.create(env.LOG), { jurisdiction });
}

describe('inJurisdiction()', () => {
  it.each(['eu', 'us', 'fedramp', 'fedramp-high'])('restricts the objects to %s', (name) => {
    const bound: unknown[] = [];
    const within = { within: name };
    const namespace = namespaceWith((asked) => {
      bound.push(asked);
      return within;
    });
    expect(inJurisdiction(namespace, name)).toBe(within);
    expect(bound).toEqual([name]);
  });

  it.each([undefined, 'ch', 'EU', 'eu-near'])('leaves the namespace unchanged for %s', (name) => {
    const namespace = namespaceWith(() => expect.unreachable());
    expect(inJurisdiction(namespace, name)).toBe(namespace);
  });

  it('leaves the namespace unchanged in workerd on its own, which has no jurisdictions', () => {
    expect(() => env.LOG.jurisdiction('eu')).toThrow('not implemented in workerd');
    expect(inJurisdiction(env.LOG, 'eu')).toBe(env.LOG);
  });

  it('throws if the platform refuses the restriction', () => {
    const namespace = namespaceWith(() => {
      throw new Error('no such jurisdiction');
    });
    expect(() => inJurisdiction(namespace, 'eu')).toThrow('no such jurisdiction');
  });
});
