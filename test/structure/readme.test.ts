/** README.md and README.zh-CN.md say the same: the same commands, the same links, each to the other. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const english = readFileSync('README.md', 'utf8');
const chinese = readFileSync('README.zh-CN.md', 'utf8');

const matches = (page: string, pattern: RegExp) => [...page.matchAll(pattern)].map((match) => match[1] ?? '');
const codeOf = (page: string) => matches(page, /^```\w*\n([\s\S]*?)^```$/gm);
const wordsOf = (page: string) => new Set(matches(page.replaceAll(/^```[\s\S]*?^```$/gm, ''), /`([^`]+)`/g));
const linksOf = (page: string) =>
  matches(page, /\]\(([^)]+)\)/g).filter((link) => !link.startsWith('README'));
const levelsOf = (page: string) => matches(page, /^(#+) /gm);

describe('README.md and README.zh-CN.md', () => {
  it('have the same code blocks', () => {
    expect(codeOf(english).length).toBeGreaterThanOrEqual(6);
    expect(codeOf(chinese)).toEqual(codeOf(english));
  });

  it('name the same commands and headers in their text', () => {
    expect(wordsOf(chinese)).toEqual(wordsOf(english));
  });

  it('have the same headings and links, in the same order', () => {
    expect(levelsOf(chinese)).toEqual(levelsOf(english));
    expect(linksOf(chinese)).toEqual(linksOf(english));
  });

  it('link to each other', () => {
    expect(english).toContain('](README.zh-CN.md)');
    expect(chinese).toContain('](README.md)');
  });

  it('fit two screens', () => {
    expect(english.split('\n').length).toBeLessThanOrEqual(110);
  });
});
