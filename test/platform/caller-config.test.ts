import { describe, expect, it } from 'vitest';
import { readConfig as readVariables } from '../../src/platform/config.ts';
import { testGovernanceBindings } from '../support/governance-keys.ts';

const callers = (variables: Record<string, string>) =>
  readVariables({ ...testGovernanceBindings, ...variables }).callers;
const issuer = {
  issuer: 'https://id.example',
  audience: 'edgewise',
  jwksUrl: 'https://id.example/jwks.json',
  tenantClaim: 'org',
  tenants: ['acme'],
};

describe('callerConfig()', () => {
  it('trusts no issuer and limits every caller if nothing is configured', () => {
    expect(callers({})).toEqual({
      issuers: [],
      keyRate: { requests: 6000, perSeconds: 60 },
      anonymousRate: { requests: 600, perSeconds: 60 },
    });
  });

  it('limits no caller if the rates are 0', () => {
    expect(callers({ EDGEWISE_RATE_PER_MINUTE: '0', EDGEWISE_ANONYMOUS_RATE_PER_MINUTE: '0' })).toMatchObject(
      { keyRate: undefined, anonymousRate: undefined },
    );
  });

  it('reads issuers and rates', () => {
    expect(
      callers({
        EDGEWISE_JWT_ISSUERS: JSON.stringify([issuer]),
        EDGEWISE_RATE_PER_MINUTE: '50',
        EDGEWISE_ANONYMOUS_RATE_PER_MINUTE: '5',
      }),
    ).toMatchObject({
      issuers: [issuer],
      keyRate: { requests: 50, perSeconds: 60 },
      anonymousRate: { requests: 5, perSeconds: 60 },
    });
  });

  it('names the wrong key of an issuer without its value', () => {
    for (const [value, complaint] of [
      ['[', /EDGEWISE_JWT_ISSUERS: its value is not usable: the issuers of tokens are not valid JSON/],
      [
        JSON.stringify([{ ...issuer, jwksUrl: 'http://hunter2/' }]),
        /tokens are not usable: \[0\]\.jwksUrl is a string; expected an https URL/,
      ],
    ] as const) {
      expect(() => callers({ EDGEWISE_JWT_ISSUERS: value })).toThrow(complaint);
      expect(() => callers({ EDGEWISE_JWT_ISSUERS: value })).toThrow(/^(?!.*hunter2)/s);
    }
    expect(() => callers({ EDGEWISE_RATE_PER_MINUTE: '-1' })).toThrow('expected a whole number');
  });
});
