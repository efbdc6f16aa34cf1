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

  const worker = ['config', 'governance-config', 'caller-config', 'policy-config', 'subject-config'].flatMap(
    (name) => keysIn(`src/platform/${name}.ts`),
  );
  const origin = keysIn('src/platform/node-config.ts');
  const both = keysIn('src/platform/server-config.ts');
  const [ofWorker = '', ofOrigin = ''] = readFileSync('docs/configuration.md', 'utf8').split(
    '\n## The origin\n',
  );

  it('gives every configuration key of the worker', () => {
    expect(rowsOf(ofWorker)).toEqual([...worker, ...both].sort());
  });

  it('gives every configuration key of the origin', () => {
    const shared = rowsOf(ofOrigin).filter((key) => both.includes(key));
    expect(rowsOf(ofOrigin)).toEqual([...origin, ...shared].sort());
    expect(both.filter((key) => !ofOrigin.includes(`\`${key}\``))).toEqual([]);
    expect(origin.length).toBeGreaterThan(5);
  });
});

function keysIn(file: string): readonly string[] {
  const found = readFileSync(file, 'utf8').matchAll(/^ +(EDGEWISE_\w+):/gm);
  return [...new Set([...found].map((match) => match[1] ?? ''))];
}

function rowsOf(page: string): readonly string[] {
  return [...page.matchAll(/^\| `(EDGEWISE_\w+)`/gm)].map((match) => match[1] ?? '').sort();
}
