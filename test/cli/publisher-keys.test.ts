import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { findPublisherKey, findTrustedPublishers } from '../../src/cli/publisher-keys.ts';
import { publisherKey, publishers, trustedPublishers } from '../support/publisher.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'edgewise-keys-'));
  return () => rmSync(folder, { recursive: true });
});

describe('findPublisherKey()', () => {
  it('reads --key, else the environment as PEM or as a file, else the folder', () => {
    const file = join(folder, 'by-name.pem');
    writeFileSync(file, 'by name');
    const home = join(folder, 'home');
    mkdirSync(join(home, '.edgewise'), { recursive: true });
    expect(() => findPublisherKey(undefined, {}, home)).toThrow(/edgewise publisher keygen/);
    writeFileSync(join(home, '.edgewise', 'publisher.pem'), 'of the folder');
    expect(findPublisherKey(undefined, {}, home)).toBe('of the folder');
    expect(findPublisherKey(undefined, { EDGEWISE_PUBLISHER_KEY: file }, home)).toBe('by name');
    expect(findPublisherKey(undefined, { EDGEWISE_PUBLISHER_KEY: publisherKey }, home)).toBe(publisherKey);
    expect(findPublisherKey(file, { EDGEWISE_PUBLISHER_KEY: publisherKey }, home)).toBe('by name');
    expect(() => findPublisherKey(join(folder, 'nonesuch'), {}, home)).toThrow(/cannot be read/);
  });
});

describe('findTrustedPublishers()', () => {
  it('looks for public keys in the same order', () => {
    const home = join(folder, 'other-home');
    expect(findTrustedPublishers([], {}, home)).toEqual([]);
    expect(findTrustedPublishers([], { EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers }, home)).toEqual(
      publishers,
    );
    expect(() => findTrustedPublishers([], { EDGEWISE_TRUSTED_PUBLISHERS: '[{}]' }, home)).toThrow(
      /is not usable/,
    );
    const [first] = publishers;
    mkdirSync(join(home, '.edgewise'), { recursive: true });
    const pem = JSON.parse(trustedPublishers)[0].key;
    writeFileSync(join(home, '.edgewise', 'publisher.pub.pem'), pem);
    expect(findTrustedPublishers([], {}, home).map(({ key }) => key)).toEqual([first?.key]);
  });
});
