import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/** The only file that turns zod's issues into texts. */
const only = 'src/check-document.ts';

describe("zod's issues", () => {
  it('are turned into messages in one file', () => {
    const readers = globSync('src/**/*.ts').filter((file) =>
      /\.issues\b|\bprettifyError\b|\bflattenError\b|error\.format\(/.test(readFileSync(file, 'utf8')),
    );
    expect(readers).toEqual([only]);
  });
});
