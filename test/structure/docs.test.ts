import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const pages = globSync(['*.md', '{docs,bench,deploy,examples,models,scripts,.github}/**/*.md'], {
  exclude: (path) => path.includes('node_modules') || path.includes('.venv'),
});

/** Returns the anchors of a page's headings, as GitHub generates them. */
function anchorsOf(page: string): readonly string[] {
  return [...readFileSync(page, 'utf8').matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe('the documentation', () => {
  it('is found', () => {
    expect(pages).toEqual(expect.arrayContaining(['README.md', 'docs/protocol.md', 'bench/README.md']));
  });

  it.each(pages)('links from %s to pages and headings that exist', (page) => {
    const broken = [...readFileSync(page, 'utf8').matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link = '']) => link)
      .filter((link) => {
        if (/^(https?:|mailto:)/.test(link)) return false;
        const [path = '', anchor] = link.split('#');
        const target = path === '' ? page : join(dirname(page), path);
        if (!existsSync(target)) return true;
        return anchor !== undefined && target.endsWith('.md') && !anchorsOf(target).includes(anchor);
      });
    expect(broken).toEqual([]);
  });

  it.each(pages)('names only npm scripts that exist in %s', (page) => {
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: object };
    const named = [...readFileSync(page, 'utf8').matchAll(/npm run (?:-s )?([a-z][a-z:]*)/g)].map(
      ([, name = '']) => name,
    );
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });

  const worker = ['config', 'governance-config', 'caller-config', 'policy-config', 'subject-config'].flatMap(
    (name) => keysIn(`src/platform/${name}.ts`),
  );
  const origin = keysIn('src/platform/node-config.ts');
  const both = keysIn('src/platform/server-config.ts');
  const [ofWorker = '', ofOrigin = ''] = readFileSync('docs/configuration.md', 'utf8').split(
    '\n## The origin\n',
  );

  it('describes every configuration key of the worker', () => {
    expect(rowsOf(ofWorker)).toEqual([...worker, ...both].sort());
  });

  it('describes every configuration key of the origin', () => {
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
