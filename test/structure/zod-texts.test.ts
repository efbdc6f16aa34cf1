import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/** The one file that turns zod's issues into texts. */
const only = 'src/check-document.ts';

describe('what zod says of a document', () => {
  it('becomes a message in one file', () => {
    const readers = globSync('src/**/*.ts').filter((file) =>
      /\.issues\b|\bprettifyError\b|\bflattenError\b|error\.format\(/.test(readFileSync(file, 'utf8')),
    );
    expect(readers).toEqual([only]);
  });
});
