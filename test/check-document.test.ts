import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type CheckOptions, checkDocument } from '../src/check-document.ts';
import { versionPolicySchema } from '../src/repository/common-schema.ts';
import { modelConfigSchema } from '../src/repository/config-schema.ts';
import { manifestSchema, splitSchema } from '../src/repository/schema.ts';
import { sourceTermsSchema } from '../src/repository/terms.ts';
import { poolSchema } from '../src/routing/endpoint-config.ts';
import { openSourceTerms } from './support/terms.ts';

function complaintOf(schema: z.ZodType, document: unknown, options: CheckOptions = {}): string {
  const checked = checkDocument(schema, document, options);
  if (checked.success) throw new Error('expected an invalid document');
  return checked.complaint;
}

const config = (change: Record<string, unknown>) =>
  complaintOf(modelConfigSchema, { name: 'm', description: 'd', terms: openSourceTerms, ...change });

describe('checkDocument()', () => {
  it('returns the document with defaults and transforms', () => {
    const schema = z.strictObject({ count: z.int().default(3) });
    expect(checkDocument(schema, {})).toEqual({ success: true, data: { count: 3 } });
  });

  it('describes what was expected for a missing key', () => {
    const { trainingData, ...terms } = openSourceTerms;
    expect(trainingData).toBeDefined();
    expect(config({ terms })).toBe('terms.trainingData is missing; expected an object with statement');
    expect(config({ name: undefined })).toBe('name is missing; expected a string');
  });

  it.each([
    [{ max_batch_size: 8 }, '"max_batch_size" is unknown; did you mean "maxBatchSize"?'],
    [{ batch: 8 }, '"batch" is unknown; expected one of $schema, name, description'],
    [{ terms: { ...openSourceTerms, license: {} } }, 'terms: "license" is unknown; did you mean "licence"?'],
  ])('proposes a near key for %j', (change, expected) => {
    expect(config(change)).toContain(expected);
  });

  it('lists an unknown key before the key that is missing because of it', () => {
    const { licence, ...rest } = openSourceTerms;
    expect(config({ terms: { ...rest, license: licence } })).toBe(
      'terms: "license" is unknown; did you mean "licence"?; terms.licence is missing; expected an object with spdx',
    );
  });

  it.each([
    [{ maxBatchSize: '8' }, 'maxBatchSize is "8"; expected a whole number'],
    [{ maxBatchSize: 1.5 }, 'maxBatchSize is 1.5; expected a whole number'],
    [{ maxBatchSize: -1 }, 'maxBatchSize is -1; expected at least 0'],
    [{ tier: 'gpu' }, 'tier is "gpu"; expected "edge", "origin" or "auto"'],
    [{ source: 'here' }, 'source is "here"; expected a URL such as "https://example.com/"'],
    [{ sampleShapes: { x: [1, 'n'] } }, 'sampleShapes.x[1] is "n"; expected a whole number'],
    [{ sampleShapes: { 'a b': 3 } }, 'sampleShapes["a b"] is 3; expected an array'],
    [{ description: 'x'.repeat(501) }, '(501 characters); expected at most 500 characters'],
    [{ labels: null }, 'labels is null; expected an object'],
    [
      { versionPolicy: { latest: { num_versions: 1 } } },
      'versionPolicy.latest: "num_versions" is unknown; did you',
    ],
    [
      { versionPolicy: { latest: { numVersions: 0 } } },
      'versionPolicy.latest.numVersions is 0; expected at least 1',
    ],
    [{ dynamicBatching: {} }, 'dynamicBatching: expected a maxBatchSize above 0'],
    [{ terms: { ...openSourceTerms, anonymous: 1 } }, 'terms.anonymous is 1; expected true or false'],
    [
      { terms: { ...openSourceTerms, purposes: { permit: 'research' } } },
      'terms.purposes.permit is "research"; expected "*", or an array',
    ],
    [
      { terms: { ...openSourceTerms, notAfter: 'soon' } },
      'terms.notAfter is "soon"; expected a time such as "2027-12-31T00:00:00Z"',
    ],
  ])('names path, value and expectation for %j', (change, expected) => {
    expect(config(change)).toContain(expected);
  });

  it('proposes a near value from a long list', () => {
    const names = z.enum(['predictive', 'generative', 'embedding', 'ranking']);
    expect(complaintOf(z.object({ kind: names }), { kind: 'Generativ' })).toContain(
      'did you mean "generative"?',
    );
  });

  it('names invalid keys of a record', () => {
    const aliases = z.object({
      aliases: z.record(z.string().regex(/^[a-z]+$/, 'expected letters'), z.string()),
    });
    expect(complaintOf(aliases, { aliases: { A1: 'x' } })).toBe('aliases has the key "A1"; expected letters');
  });

  it('lists the first problems and counts the rest', () => {
    const digits = z.object(Object.fromEntries([...'abcdef'].map((key) => [key, z.number()])));
    expect(complaintOf(digits, {}, { maxListed: 2 })).toBe(
      'a is missing; expected a number; b is missing; expected a number; and 4 more',
    );
  });

  it('quotes no text if quoteText is false', () => {
    expect(complaintOf(z.object({ key: z.int() }), { key: 'hunter2' }, { quoteText: false })).toBe(
      'key is a string; expected a whole number',
    );
  });

  it('names the whole document as configured', () => {
    expect(complaintOf(modelConfigSchema, [], { whole: 'the file' })).toMatch(
      /^the file is an empty array; expected an object with name, description, terms$/,
    );
  });

  it('returns no text of zod, whatever the document', () => {
    const schemas = [
      modelConfigSchema,
      manifestSchema,
      sourceTermsSchema,
      splitSchema,
      versionPolicySchema,
      poolSchema,
    ];
    const keys = [
      'name',
      'terms',
      'licence',
      'spdx',
      'arms',
      'percent',
      'latest',
      'url',
      'auth',
      'inputs',
      'shape',
    ];
    const document = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.jsonValue({ maxDepth: 1 }),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.oneof(fc.constantFrom(...keys), fc.string()), tie('value'), { maxKeys: 4 }),
      ),
    })).value;
    fc.assert(
      fc.property(fc.constantFrom(...schemas), document, (schema, value) => {
        const checked = checkDocument<z.ZodType>(schema, value);
        fc.pre(!checked.success);
        expect(checked.success ? '' : checked.complaint).not.toMatch(
          /Invalid (?:input|option|string|key|element|ISO|URL)|Too (?:small|big)|Unrecognized/,
        );
        expect(checked.success ? '' : checked.complaint).toMatch(/expected |is unknown; did you mean/);
      }),
    );
  });
});
