/** Conventions of command lines: --help, --version, exit codes. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createProgram, main } from '../../src/cli/main.ts';

let stdout: string;
let stderr: string;
beforeEach(() => {
  stdout = '';
  stderr = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** The words of every command that the help of another one lists, `[]` for edgewise itself. */
function commandsOf(command: Command, path: readonly string[] = []): readonly (readonly string[])[] {
  const visible = command
    .createHelp()
    .visibleCommands(command)
    .filter((each) => each.name() !== 'help');
  return [path, ...visible.flatMap((each) => commandsOf(each, [...path, each.name()]))];
}
const commands = commandsOf(createProgram());
const nouns = commands.filter(({ length }) => length === 1);
const verbs = commands.filter(({ length }) => length === 2);

describe('edgewise', () => {
  it('has nouns with verbs', () => {
    expect(nouns.map(([noun]) => noun)).toEqual(
      expect.arrayContaining(['model', 'key', 'secrets', 'tenant']),
    );
    expect(verbs.length).toBeGreaterThan(20);
  });

  it.each(commands.map((words) => [words.join(' ')]))(
    '%s --help prints the usage on stdout and exits with 0',
    async (words) => {
      const argv = words === '' ? ['--help'] : [...words.split(' '), '--help'];
      expect(await main(argv)).toBe(0);
      expect(stdout).toMatch(new RegExp(`^Usage: edgewise ${words}`));
      expect(stderr).toBe('');
    },
  );

  it.each(commands.map((words) => [words.join(' ')]))(
    '%s exits with 2 for an unknown option',
    async (words) => {
      const argv = words === '' ? ['--no-such-option'] : [...words.split(' '), '--no-such-option'];
      expect(await main(argv)).toBe(2);
      expect(stdout).toBe('');
      expect(stderr).toMatch(
        /^error: (?:unknown option '--no-such-option'|required option '.*' not specified)\n/,
      );
    },
  );

  it.each(nouns.map(([noun = '']) => [noun]))(
    '%s without a verb shows its verbs, and ends with 2',
    async (noun) => {
      expect(await main([noun])).toBe(2);
      expect(stderr).toMatch(new RegExp(`^Usage: edgewise ${noun}`));
    },
  );

  it.each([['--version'], ['-V']])('%s prints the version of the package', async (option) => {
    expect(await main([option])).toBe(0);
    const { version }: { version: string } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(stdout).toBe(`${version}\n`);
  });

  it('passes --version to a verb that has the option', async () => {
    expect(
      await main(['model', 'push', '/nonexistent', '--version', '2', '--url', 'http://127.0.0.1:9']),
    ).toBe(1);
    expect(stdout).toBe('');
  });

  it.each([
    [['modle'], /unknown command 'modle'\n\(Did you mean model\?\)/],
    [['model', 'psuh'], /unknown command 'psuh'\n\(Did you mean push\?\)/],
    [['key', 'create'], /missing required argument 'tenant'/],
    [['model', 'list', 'one', 'more'], /too many arguments/],
    [['model', 'inspect', 'a b'], /"a b" is not a model; expected name, org\/name or name@version/],
    [['model', 'verify'], /say what to verify/],
    [['model', 'remove', 'digits', '--url', 'http://127.0.0.1:9'], /say what to remove/],
  ])('exits with 2 for %j and suggests what was meant', async (argv, expected) => {
    vi.stubEnv('EDGEWISE_ADMIN_KEY', 'ewa_any');
    expect(await main(argv)).toBe(2);
    expect(stderr).toMatch(expected);
    vi.unstubAllEnvs();
  });

  it('names the new command for the old name of secrets, and creates none', async () => {
    expect(await main(['keys', 'generate', '--json'])).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toBe(
      'error: edgewise keys is called edgewise secrets: edgewise secrets generate --json\n',
    );
    expect(await main(['keys'])).toBe(2);
  });
});
