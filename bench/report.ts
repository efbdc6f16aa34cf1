/** Publishes results: raw values to `results/<name>.json`, tables into README.md between the marks of that name. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { arch, cpus, loadavg, platform, totalmem } from 'node:os';
import { join } from 'node:path';
import { root } from '../scripts/dev-server.ts';

const readme = join(import.meta.dirname, 'README.md');
const resultsDirectory = join(import.meta.dirname, 'results');

interface Circumstances {
  readonly at: string;
  readonly commit: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  /** One-minute load average before the benchmark; above 1, something else was running. */
  readonly loadBefore: number;
}

const commitBefore = readCommit();
const loadBefore = Math.round((loadavg()[0] ?? 0) * 100) / 100;

function readCircumstances(): Circumstances {
  return {
    at: new Date().toISOString(),
    commit: commitBefore,
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()} ${arch()}`,
    versions: {
      node: process.versions.node,
      ...Object.fromEntries(
        ['workerd', 'onnxruntime-web', 'onnxruntime-node', 'hono'].map((name) => [name, readVersion(name)]),
      ),
    },
    loadBefore,
  };
}

/** Returns the short commit, with `+` if files of the product have changed since. */
function readCommit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  const changed = git('status', '--porcelain', '--untracked-files=no', '--', 'src', 'scripts', 'models');
  return `${git('rev-parse', '--short', 'HEAD')}${changed === '' ? '' : '+'}`;
}

function readVersion(name: string): string {
  const manifest: unknown = JSON.parse(
    readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'),
  );
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown';
}

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

export interface Report {
  readonly name: string;
  /** Sentences below the tables that explain figures. */
  readonly notes?: readonly string[];
  readonly tables: readonly Table[];
  /** All measured values. */
  readonly raw: unknown;
}

export function publish({ name, notes = [], tables, raw }: Report): void {
  const under = readCircumstances();
  mkdirSync(resultsDirectory, { recursive: true });
  writeFileSync(join(resultsDirectory, `${name}.json`), `${JSON.stringify({ ...under, raw })}\n`);
  const text = [...tables.map(formatTable), ...notes, `_${describeCircumstances(under, name)}_`].join('\n\n');
  console.log(`\n${text}\n`);
  if (!existsSync(readme)) return;
  const marks = new RegExp(`(<!-- ${name} -->)[^]*?(<!-- /${name} -->)`);
  writeFileSync(
    readme,
    readFileSync(readme, 'utf8').replace(marks, (_, begin, end) => `${begin}\n${text}\n${end}`),
  );
}

function describeCircumstances(
  { at, commit, machine, versions, loadBefore }: Circumstances,
  name: string,
): string {
  const list = Object.entries(versions).map(([what, version]) => `${what} ${version}`);
  return `${at.slice(0, 10)}, commit ${commit}, ${machine}, load before ${loadBefore}; ${list.join(', ')}. Raw values: [results/${name}.json](results/${name}.json)`;
}

function formatTable({ columns, rows }: Table): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Formats with three significant digits or more. */
export function formatFigure(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(value >= 1 ? 2 : 3);
}
