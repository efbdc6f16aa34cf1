/** Source files stay small enough to be read at one sitting; a larger one is split by concept. */
import { globSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const maxLines = 300;

it(`no source file has more than ${maxLines} lines`, () => {
  const files = globSync('src/**/*.ts').map((file) => ({
    file,
    lines: readFileSync(file, 'utf8').trimEnd().split('\n').length,
  }));
  expect(files.length).toBeGreaterThan(100);
  expect(files.filter(({ lines }) => lines > maxLines)).toEqual([]);
});
