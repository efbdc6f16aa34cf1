import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { backendCases } from './cases.ts';
import { casesInAll, causes, leastPassing } from './expected.ts';

const page = readFileSync('docs/conformance.md', 'utf8');
const listed = causes.flatMap(({ cases }) => cases);

describe('the list of cases that do not pass', () => {
  it('names existing cases, each once', () => {
    const names = backendCases().map(({ name }) => name);
    expect(new Set(names).size).toBe(casesInAll);
    expect(listed.filter((name) => !names.includes(name))).toEqual([]);
    expect(new Set(listed).size).toBe(listed.length);
  });

  it('leaves at least leastPassing cases', () => {
    expect(casesInAll - listed.length).toBeGreaterThanOrEqual(leastPassing);
  });

  it('is the table of docs/conformance.md', () => {
    const rows = [...page.matchAll(/^\| ([^|]+?) \| (\d+) \| .* \|$/gm)].map(([, title, count]) => [
      title,
      Number(count),
    ]);
    expect(rows).toEqual(causes.map(({ title, cases }) => [title, cases.length]));
    const total = `**${casesInAll - listed.length} of ${casesInAll} pass**`;
    expect(page).toContain(total);
  });
});
