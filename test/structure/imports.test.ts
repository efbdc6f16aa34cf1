/** Checks the import rules of docs/architecture.md for every file of src/: which layer may import which, and which files may use a platform. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

const importForm =
  /^\s*(?:import|export)\s(?:[^'"]*?\sfrom\s)?['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/gm;

interface Import {
  readonly from: string;
  readonly to: string;
}

function importsOf(file: string): Import[] {
  return [...readFileSync(file, 'utf8').matchAll(importForm)].map((match) => {
    const target = match[1] ?? match[2] ?? '';
    return { from: file, to: target.startsWith('.') ? normalize(join(dirname(file), target)) : target };
  });
}

const files = globSync('src/**/*.ts').filter((file) => !file.endsWith('.d.ts'));
const imports = files.flatMap(importsOf);

const leaves = [
  'src/errors.ts',
  'src/bytes.ts',
  'src/near-name.ts',
  'src/check-document.ts',
  'tensor',
  'async',
];
/** Interfaces that drivers implement, and modules that use only those interfaces. */
const storage = [
  'src/storage/types.ts',
  'src/storage/digest.ts',
  'src/storage/compare-and-swap.ts',
  'src/storage/cached-documents.ts',
  'src/storage/document-cache.ts',
];
const contracts = ['src/engine/types.ts', 'src/engine/run-errors.ts', ...storage, 'protocol'];
const capabilities = ['tasks', 'governance', 'routing', 'scheduler', 'repository', 'telemetry'];

/** Folder (or root file) → what it may import from src/, besides itself. */
const allowed: Record<string, readonly string[]> = {
  'src/errors.ts': [],
  'src/near-name.ts': [],
  'src/bytes.ts': ['src/errors.ts'],
  'src/check-document.ts': ['src/near-name.ts'],
  'src/index.ts': ['platform', 'http', 'durable-objects'],
  'src/node.ts': ['platform', 'http'],
  tensor: ['src/errors.ts', 'src/near-name.ts'],
  async: ['src/errors.ts'],
  protocol: leaves,
  storage: leaves,
  engine: leaves,
  repository: [...leaves, ...contracts],
  tasks: [...leaves, ...contracts],
  governance: [...leaves, ...contracts, 'repository'],
  routing: [...leaves, ...contracts, 'repository'],
  scheduler: [...leaves, ...contracts],
  telemetry: [...leaves, ...contracts],
  'durable-objects': [...leaves, ...contracts, 'governance'],
  http: [...leaves, ...contracts, ...capabilities, 'src/engine/session-pool.ts'],
  client: [
    ...leaves,
    'protocol',
    'src/repository/schema.ts',
    'src/repository/common-schema.ts',
    'src/repository/keys.ts',
    'src/governance/accounts/schema.ts',
    'src/governance/policy/schema.ts',
    'src/governance/subjects/schema.ts',
    'src/storage/types.ts',
    'src/storage/digest.ts',
  ],
  cli: [
    ...leaves,
    'client',
    'protocol',
    'repository',
    // All of it is pure: it verifies receipts offline.
    'governance',
    'src/storage/types.ts',
    'src/storage/digest.ts',
    'src/platform/node-cli.ts',
  ],
  console: ['client'],
};

/** Subfolders of a folder, from the top down: each may import the files of the folder itself and the subfolders below it. */
const rooms: Record<string, readonly string[]> = {
  http: ['routes', 'openapi', 'infer', 'record', 'caller', 'body'],
  cli: ['commands', 'render', 'transfer', 'evidence'],
};

function layerOf(file: string): string {
  const [, folder = '', rest] = file.split('/');
  return rest === undefined ? file : folder;
}

function mayImport({ from, to }: Import): boolean {
  const layer = layerOf(from);
  if (layer === 'platform' || layerOf(to) === layer) {
    return true;
  }
  return allowed[layer]?.some((target) => target === to || target === layerOf(to)) ?? false;
}

/** Returns the subfolder of a file in `folder`; undefined for a file of the folder itself. */
function roomOf(file: string): string | undefined {
  const [, , room, rest] = file.split('/');
  return rest === undefined ? undefined : room;
}

function climbs({ from, to }: Import): boolean {
  const order = rooms[layerOf(from)];
  const [above, below] = [roomOf(from), roomOf(to)];
  if (order === undefined || layerOf(from) !== layerOf(to) || above === undefined || below === undefined) {
    return false;
  }
  return order.indexOf(above) > order.indexOf(below);
}

/** The only files that may import specifiers with this prefix. */
const platformRules: [specifier: RegExp, importer: RegExp][] = [
  [/^onnxruntime-/, /^src\/engine\/ort-/],
  [
    /^cloudflare:/,
    /^src\/(index\.ts|platform\/cloudflare[^/]*|durable-objects\/.*|storage\/(r2|kv|cache)\.ts)$/,
  ],
  [
    /^node:/,
    /^src\/(node\.ts|platform\/node[^/]*|storage\/(fs|sqlite)[^/]*|engine\/ort-[^/]*node[^/]*|cli\/.*)$/,
  ],
];

describe('imports in src/', () => {
  it('are read from every file', () => {
    expect(files.length).toBeGreaterThan(20);
    expect(imports.some(({ to }) => to === 'src/errors.ts')).toBe(true);
  });

  it('point downward only', () => {
    const wrong = imports.filter((edge) => edge.to.startsWith('src/') && !mayImport(edge));
    expect(wrong.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
  });

  it('point downward between the subfolders of a folder', () => {
    const wrong = imports.filter(climbs);
    expect(wrong.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
    for (const [folder, names] of Object.entries(rooms)) {
      const found = new Set(files.filter((file) => layerOf(file) === folder).map(roomOf));
      found.delete(undefined);
      expect([...found].sort()).toEqual([...names].sort());
    }
  });

  it('use a platform only in the files of that platform', () => {
    const wrong = imports.filter(({ from, to }) =>
      platformRules.some(([specifier, importer]) => specifier.test(to) && !importer.test(from)),
    );
    expect(wrong.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
  });

  it('name concrete drivers in platform/ only', () => {
    const drivers = /^src\/(storage\/(r2|kv|cache\.|fs|tiered|fallback-state)|engine\/ort-)/;
    const wrong = imports.filter(
      ({ from, to }) => drivers.test(to) && layerOf(from) !== 'platform' && layerOf(from) !== layerOf(to),
    );
    expect(wrong.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
  });

  it('have no cycle', () => {
    const edges = new Map<string, string[]>();
    for (const { from, to } of imports) {
      edges.set(from, [...(edges.get(from) ?? []), to]);
    }
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): string | undefined => {
      if (path.includes(file)) {
        return [...path.slice(path.indexOf(file)), file].join(' → ');
      }
      if (done.has(file)) {
        return undefined;
      }
      for (const next of edges.get(file) ?? []) {
        const cycle = visit(next, [...path, file]);
        if (cycle !== undefined) {
          return cycle;
        }
      }
      done.add(file);
      return undefined;
    };
    expect(files.map((file) => visit(file, [])).filter((cycle) => cycle !== undefined)).toEqual([]);
  });
});
