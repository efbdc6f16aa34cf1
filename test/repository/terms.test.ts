import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkDocument } from '../../src/check-document.ts';
import { sourceTermsSchema, termsSchema, toPublishedTerms } from '../../src/repository/terms.ts';
import { countriesOf, countriesOfAll, isCountry } from '../../src/repository/territories.ts';
import { digestOf } from '../../src/storage/digest.ts';
import { licenceBytes, licenceDigest, openSourceTerms, openTerms, sourceTermsOf } from '../support/terms.ts';

/** Returns `path: message` for every problem of the open terms with the change. */
function complaints(change: Record<string, unknown>): string[] {
  const checked = checkDocument(sourceTermsSchema, { ...openSourceTerms, ...change });
  return checked.success
    ? []
    : checked.problems.map(({ path, expected }) => `${path.join('.')}: ${expected}`);
}

const licence = (spdx: string) => ({ licence: { ...openSourceTerms.licence, spdx } });
/** Terms that require a known caller. */
const known = { anonymous: false };

describe('sourceTermsSchema', () => {
  it('defaults to the strictest terms', () => {
    const { creator, trainingData } = openSourceTerms;
    expect(sourceTermsSchema.parse({ creator, licence: { spdx: 'MIT' }, trainingData })).toMatchObject({
      licence: { file: 'LICENSE', acceptance: 'required' },
      grant: 'required',
      anonymous: false,
      weightsMayLeave: false,
      trainingWithUsageData: false,
      territories: { permit: '*', deny: [], basis: 'tenant-establishment' },
    });
  });

  it.each(['MIT', 'Apache-2.0 OR MIT', 'GPL-2.0-only WITH Classpath-exception-2.0', 'LicenseRef-acme-eval'])(
    'accepts the licence %s',
    (spdx) => expect(complaints(licence(spdx))).toEqual([]),
  );

  it.each(['Apache 2', 'apache-2.0', 'openrail-m', 'proprietary', 'LicenseRef-', 'MIT OR'])(
    'refuses the licence %s',
    (spdx) =>
      expect(complaints(licence(spdx))).toEqual([expect.stringMatching(/^licence\.spdx: expected an SPDX/)]),
  );

  it.each<[string, Record<string, unknown>, RegExp]>([
    [
      'dates in the wrong order',
      { notBefore: '2027-01-01T00:00:00Z', notAfter: '2027-01-01T00:00:00Z' },
      /^notAfter: expected a time after notBefore/,
    ],
    ['a date without a time', { notBefore: '2027-01-01' }, /^notBefore:/],
    ['anonymous use with a grant', { grant: 'required' }, /^anonymous: expected grant "not-required"/],
    [
      'anonymous use with an acceptance',
      { licence: { ...openSourceTerms.licence, acceptance: 'required' } },
      /^anonymous: expected licence\.acceptance "not-required"/,
    ],
    [
      'anonymous use that costs',
      { royalty: { per: 'unit', amount: '1', currency: 'EUR' } },
      /^anonymous: expected no royalty/,
    ],
    [
      'anonymous use where establishment counts',
      { territories: { deny: ['US'] } },
      /^anonymous: expected territories of the basis "connection"/,
    ],
    [
      'anonymous use where both count',
      { territories: { permit: ['EU'], basis: 'both' } },
      /^anonymous: expected territories/,
    ],
    [
      'anonymous use with denied fields',
      { fieldsOfUse: { deny: ['biometric-id'] } },
      /^anonymous: expected no bounds on fieldsOfUse/,
    ],
    [
      'a royalty of nothing',
      { ...known, grant: 'required', royalty: { per: 'unit', amount: '0.00', currency: 'EUR' } },
      /^royalty\.amount: expected an amount above 0/,
    ],
    [
      'a royalty with an exponent',
      { ...known, grant: 'required', royalty: { per: 'unit', amount: '4e-4', currency: 'EUR' } },
      /^royalty\.amount: expected a decimal/,
    ],
    [
      'a royalty by the licence alone, of which there would be no statement',
      { ...known, royalty: { per: 'unit', amount: '1', currency: 'EUR' } },
      /^royalty: expected grant "required"/,
    ],
    ['a quota of nothing', { quota: { units: 0, per: 'day' } }, /^quota\.units:/],
    ['attribution without the line', { duties: ['attribute'] }, /^attribution: expected the line/],
    ['the line without attribution', { attribution: 'built with it' }, /^attribution: expected the line/],
    [
      'purposes that are all denied',
      { purposes: { permit: ['research'], deny: ['research'] } },
      /^purposes\.permit: expected one that is not denied/,
    ],
    [
      'a country within a denied group',
      { ...known, territories: { permit: ['DE'], deny: ['EU'] } },
      /^territories\.permit: expected a country that is not denied/,
    ],
    [
      'a country that is none',
      { ...known, territories: { deny: ['UK'] } },
      /^territories\.deny\.0: expected an ISO 3166-1/,
    ],
    ['a purpose in capitals', { purposes: { permit: ['Research'] } }, /^purposes\.permit/],
    ['training with what callers send', { trainingWithUsageData: true }, /^trainingWithUsageData/],
    [
      'a word that it does not know',
      { territory: ['DE'] },
      /^: "territory" is unknown; did you mean "territories"\?$/,
    ],
  ])('refuses %s, naming the field', (_, change, expected) => {
    expect(complaints(change)).toEqual([expect.stringMatching(expected)]);
  });

  it('accepts territories by connection and any purposes for anonymous callers', () => {
    expect(complaints({ territories: { permit: ['EU'], basis: 'connection' } })).toEqual([]);
    expect(complaints({ purposes: { permit: ['research'] } })).toEqual([]);
    expect(complaints({ ...known, territories: { permit: ['EU'], deny: ['DE'] } })).toEqual([]);
  });

  it('says that a model without terms is not served', () => {
    expect(sourceTermsSchema.safeParse(undefined).error?.issues[0]?.message).toMatch(
      /without them is not served/,
    );
  });
});

describe('the terms in docs/publishing.md', () => {
  it('are enough for a model that every caller may use', () => {
    const [, terms = ''] =
      /"terms": (\{\n[\s\S]*?\n\})\n```/.exec(readFileSync('docs/publishing.md', 'utf8')) ?? [];
    expect(sourceTermsSchema.parse(JSON.parse(terms))).toMatchObject({
      grant: 'not-required',
      anonymous: true,
      licence: { acceptance: 'not-required' },
    });
  });
});

describe('toPublishedTerms()', () => {
  it('replaces the name of the licence file with the digest of its text', () => {
    const terms = toPublishedTerms(sourceTermsOf(), { digest: licenceDigest, byteLength: 25 });
    expect(terms.licence).toEqual({
      spdx: 'Apache-2.0',
      text: licenceDigest,
      byteLength: 25,
      acceptance: 'not-required',
    });
    expect(termsSchema.parse(terms)).toEqual(terms);
  });
});

describe('openTerms', () => {
  it('have the digest of the text that tests publish', async () => {
    expect(openTerms.licence).toMatchObject({
      text: await digestOf(licenceBytes),
      byteLength: licenceBytes.byteLength,
    });
  });
});

describe('territories', () => {
  it('count 249 countries, 27 of the EU and 30 of the EEA', () => {
    const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];
    const codes = letters.flatMap((first) => letters.map((second) => first + second));
    expect(codes.filter(isCountry)).toHaveLength(249);
    expect(countriesOf('EU')).toHaveLength(27);
    expect(countriesOf('EEA')).toHaveLength(30);
    expect([...countriesOfAll(['EU', 'EEA', 'CH'])].every(isCountry)).toBe(true);
  });

  it.each(['XX', 'T1', 'UK', 'EU', 'de', ''])('know no country %j', (code) =>
    expect(isCountry(code)).toBe(false),
  );
});
