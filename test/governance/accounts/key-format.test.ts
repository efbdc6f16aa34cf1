import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  credentialHash,
  equalInConstantTime,
  keyIdOf,
  newId,
  newKeyText,
} from '../../../src/governance/accounts/key-format.ts';
import { accountIdSchema } from '../../../src/governance/accounts/schema.ts';

const ids = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?$/);

describe('newKeyText()', () => {
  it('makes a key that contains its id, for every id', () => {
    fc.assert(
      fc.property(ids, (id) => {
        const text = newKeyText(id);
        expect(keyIdOf(text)).toBe(id);
        expect(text).toMatch(/^[\x21-\x7e]{1,512}$/);
      }),
    );
  });

  it('refuses an id that is not usable in a key', () => {
    for (const id of ['', 'A', 'a_b', '-a', 'a/b', 'x'.repeat(49)]) {
      expect(() => newKeyText(id), id).toThrow('is not usable as the id of a key');
    }
  });

  it('never makes the same key twice', () => {
    expect(new Set(Array.from({ length: 1000 }, () => newKeyText('a'))).size).toBe(1000);
  });
});

describe('keyIdOf()', () => {
  const key = newKeyText('some-id');

  it('accepts only one spelling of a secret: another character makes another key', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const last = [...alphabet].filter((character) => keyIdOf(key.slice(0, -1) + character) !== undefined);
    // Two bits of the last character are 0, so 16 of the 64 characters are valid.
    expect(last).toHaveLength(16);
    expect(new Set(last.map((character) => alphabet.indexOf(character) >> 2)).size).toBe(16);
  });

  it('returns undefined for a text that is not a key', () => {
    for (const text of [
      '',
      'ew_',
      key.slice(1),
      key.slice(0, -1),
      `${key}A`,
      ` ${key}`,
      `${key}\n`,
      key.replace('ew_', 'EW_'),
      key.replace('some-id', ''),
      key.replace('some-id', 'Some-id'),
      key.replace('some-id', 'some_id'),
      key.replace('some-id', '../some-id'),
      `ew_some-id_${'+'.repeat(43)}`,
    ]) {
      expect(keyIdOf(text), text).toBeUndefined();
    }
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => keyIdOf(text) === undefined));
  });
});

describe('newId()', () => {
  it('makes valid account ids of 80 random bits', () => {
    const made = Array.from({ length: 500 }, newId);
    for (const id of made) expect(accountIdSchema.parse(id)).toMatch(/^[a-z2-9]{16}$/);
    expect(new Set(made).size).toBe(500);
  });
});

describe('credentialHash()', () => {
  it('returns SHA-256 of the whole text', async () => {
    expect(await credentialHash('abc')).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });
});

describe('equalInConstantTime()', () => {
  it('agrees with ===', () => {
    const texts = fc.stringMatching(/^[01]{0,3}$/);
    fc.assert(fc.property(texts, texts, (a, b) => equalInConstantTime(a, b) === (a === b)));
  });

  it('reads every character, wherever the first difference is', () => {
    const looks = (at: number) => {
      let seen = 0;
      // Stands in for a hash and counts the characters that are read.
      const charCodeAt = (index: number) => {
        seen += 1;
        return index === at ? 49 : 48;
      };
      const watched = Object.create(String.prototype, {
        length: { value: 64 },
        charCodeAt: { value: charCodeAt },
      });
      expect(equalInConstantTime('0'.repeat(64), watched)).toBe(at >= 64);
      return seen;
    };
    expect([0, 31, 63, 64].map(looks)).toEqual([64, 64, 64, 64]);
  });
});
