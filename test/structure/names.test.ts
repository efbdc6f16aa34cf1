/** Holds the rule "one name, one thing" over every file of src/: two files do not export the same name for two things. */
import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const declaration =
  /^export (?:declare )?(?:abstract )?(?:async )?(?:function\*?|const enum|const|let|class|interface|type|enum) ([A-Za-z_$][\w$]*)/gm;

/** A declaration that `declaration` reads, a re-export, or a default export, which has no name. */
const readForms =
  /^export (?:(?:declare |abstract |async )*(?:function\*?|const enum|const|let|class|interface|type|enum) [A-Za-z_$]|(?:type )?[{*]|default )/;

/** Returns the names that `source` declares and exports. A re-export (`export … from`) declares nothing. */
function exportedNames(source: string): Set<string> {
  return new Set([...source.matchAll(declaration)].map((match) => match[1] ?? ''));
}

const files = globSync('src/**/*.ts').sort();
const filesByName = new Map<string, string[]>();
for (const file of files) {
  for (const name of exportedNames(readFileSync(file, 'utf8'))) {
    filesByName.set(name, [...(filesByName.get(name) ?? []), file]);
  }
}

describe('exported names', () => {
  it('are found in every form of declaration, and not in re-exports or inside functions', () => {
    const source = [
      "import { a } from './a.ts';",
      "export { b, type B } from './b.ts';",
      "export * from './c.ts';",
      'export function d() {',
      '  const inner = 1;',
      '}',
      'export async function* e() {}',
      'export const f = 1;',
      'export abstract class G {}',
      'export interface H {}',
      'export type I = string;',
      'export enum J {}',
    ].join('\n');
    expect([...exportedNames(source)]).toEqual(['d', 'e', 'f', 'G', 'H', 'I', 'J']);
  });

  it('of src/ are declared in a form that this test reads', () => {
    expect(filesByName.get('EdgewiseError')).toEqual(['src/errors.ts']);
    const unread = files.flatMap((file) =>
      readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line.startsWith('export ') && !readForms.test(line))
        .map((line) => `${file}: ${line}`),
    );
    expect(unread).toEqual([]);
  });

  it('stand for one thing each', () => {
    const collisions = [...filesByName]
      .filter(([, { length }]) => length > 1)
      .map(([name, declaredIn]) => `${name}: ${declaredIn.join(', ')}`);
    expect(collisions).toEqual([]);
  });
});
