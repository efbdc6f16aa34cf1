import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const pages = [
  'README.md',
  'CHANGELOG.md',
  ...globSync('docs/**/*.md'),
  ...globSync('{bench,models}/**/*.md'),
];

describe('the documentation', () => {
  it.each(pages)('of %s links to what is there', (page) => {
    const links = [...readFileSync(page, 'utf8').matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(
      (match) => match[1] ?? '',
    );
    const broken = links.filter((link) => !/^https?:/.test(link) && !existsSync(join(dirname(page), link)));
    expect(broken).toEqual([]);
  });

  it('gives every configuration key', () => {
    const keys = [...readFileSync('src/platform/config.ts', 'utf8').matchAll(/^ {2}(EDGEWISE_\w+):/gm)].map(
      (match) => match[1],
    );
    const documented = [
      ...readFileSync('docs/configuration.md', 'utf8').matchAll(/^\| `(EDGEWISE_\w+)`/gm),
    ].map((match) => match[1]);
    expect(documented.sort()).toEqual(keys.sort());
    expect(keys.length).toBeGreaterThan(5);
  });
});
