import { describe, expect, it } from 'vitest';
import {
  commitToAcceptor,
  newAcceptanceSalt,
} from '../../../src/governance/accounts/acceptance-commitment.ts';
import { describeTerms, summariseTerms } from '../../../src/governance/policy/describe-terms.ts';
import { offerOf } from '../../../src/governance/policy/odrl.ts';
import { miniature } from '../../repository/fixtures.ts';
import { model, openTerms, root, strictTerms, terms } from './facts.ts';

const everything = terms(
  {
    purposes: { permit: ['research'], deny: ['ads'] },
    fieldsOfUse: { permit: '*', deny: ['biometric-id'] },
    territories: { permit: ['EU', 'CH'], deny: [], basis: 'both' },
    notBefore: '2026-12-01T00:00:00Z',
    notAfter: '2027-12-01T00:00:00Z',
    quota: { units: 100, per: 'month' },
    royalty: { per: 'unit', amount: '0.0004', currency: 'EUR' },
    duties: ['attribute', 'ai-label', 'pass-on'],
    attribution: 'Built with Vision',
    weightsMayLeave: true,
  },
  strictTerms,
);

describe('offerOf()', () => {
  it('expresses every restriction in ODRL', () => {
    const offer = offerOf(everything, { name: model, root });
    expect(offer.permission.map(({ action }) => action)).toEqual([
      'edgewise:infer',
      'edgewise:explain',
      'distribute',
    ]);
    expect(offer.permission[0]).toEqual({
      target: `urn:${root}`,
      action: 'edgewise:infer',
      constraint: [
        { leftOperand: 'purpose', operator: 'isAnyOf', rightOperand: ['research'] },
        { leftOperand: 'purpose', operator: 'isNoneOf', rightOperand: ['ads'] },
        { leftOperand: 'edgewise:fieldOfUse', operator: 'isNoneOf', rightOperand: ['biometric-id'] },
        { leftOperand: 'spatial', operator: 'isAnyOf', rightOperand: ['EU', 'CH'] },
        { leftOperand: 'dateTime', operator: 'gteq', rightOperand: '2026-12-01T00:00:00Z' },
        { leftOperand: 'dateTime', operator: 'lt', rightOperand: '2027-12-01T00:00:00Z' },
        { leftOperand: 'count', operator: 'lteq', rightOperand: 100, unit: 'edgewise:per-month' },
      ],
      duty: [
        { action: 'edgewise:acceptLicence' },
        { action: 'edgewise:obtainGrant' },
        { action: 'attribute' },
        { action: 'edgewise:aiLabel' },
        { action: 'nextPolicy' },
        {
          action: 'compensate',
          constraint: [{ leftOperand: 'payAmount', operator: 'eq', rightOperand: '0.0004', unit: 'EUR' }],
        },
      ],
    });
    expect(offer.prohibition.map(({ action }) => action)).toEqual(['edgewise:trainWithUsageData']);
  });

  it('prohibits distribution and training under open terms, without constraints', () => {
    const { permission, prohibition } = offerOf(openTerms, { name: model, root });
    expect(permission[0]).toEqual({ target: `urn:${root}`, action: 'edgewise:infer' });
    expect(prohibition.map(({ action }) => action)).toEqual(['distribute', 'edgewise:trainWithUsageData']);
  });
});

describe('describeTerms()', () => {
  it('shows every field of the terms', async () => {
    const { manifest } = await miniature();
    const described = describeTerms({
      manifest: { ...manifest, terms: everything },
      manifestDigest: root,
      signed: { root, bundle: root, signer: 'tests' },
    });
    const shown = new Set([
      'licence',
      ...Object.keys(described.declared),
      ...Object.keys(described.enforced),
    ]);
    expect(Object.keys(everything).filter((field) => !shown.has(field))).toEqual([]);
  });
});

describe('summariseTerms()', () => {
  it('has a sentence for each field', () => {
    const text = summariseTerms(everything).join('\n');
    for (const part of [
      'POST /v1/acceptances',
      'Its use requires a grant',
      'Permitted purposes: research, but not ads',
      'Permitted fields of use: all, but not biometric-id',
      'Permitted territories: EU, CH',
      'from 2026-12-01T00:00:00Z',
      'until 2027-12-01T00:00:00Z',
      'At most 100 units a calendar month',
      'A unit costs 0.0004 EUR',
      'Show this line where you use it: Built with Vision',
      'Its weights may leave',
      'Data that callers send is not used for training',
    ]) {
      expect(text).toContain(part);
    }
  });
});

describe('commitToAcceptor()', () => {
  it('is SHA-256 of salt and name, and differs with the salt', async () => {
    const salt = Buffer.alloc(32, 7).toString('base64url');
    const { createHash } = await import('node:crypto');
    const expected = createHash('sha256').update(Buffer.alloc(32, 7)).update('Zoë').digest('base64url');
    expect(await commitToAcceptor(salt, 'Zoë')).toBe(expected);
    const other = newAcceptanceSalt();
    expect(other).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(await commitToAcceptor(other, 'Zoë')).not.toBe(expected);
  });
});
