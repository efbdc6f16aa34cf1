/** What the command line prints: plain text for people, JSON for programs. */
import type { PublishedModel } from '../client/admin-client.ts';
import type { EdgewiseError, ErrorCode } from '../errors.ts';
import type { Manifest, ModelIndex } from '../repository/schema.ts';

/** Columns padded to their widest cell. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function size(bytes: number): string {
  if (bytes < 1024) {
    return `${bytes} B`;
  }
  return bytes < 2 ** 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

export function modelList(models: readonly ModelIndex[]): string {
  if (models.length === 0) {
    return 'no models are published';
  }
  return table([
    ['MODEL', 'VERSIONS', 'ALIASES', 'STATE'],
    ...models.map(({ name, versions, aliases, unloaded }) => [
      name,
      versions.map(({ version }) => version).join(', '),
      Object.entries(aliases)
        .map(([alias, version]) => `${alias}→${version}`)
        .join(', ') || '–',
      unloaded ? 'unloaded' : 'published',
    ]),
  ]);
}

export function versionDetails(
  manifest: Manifest,
  digest: string,
  { index, served }: PublishedModel,
): string {
  const { edgeProfile, weights, graph } = manifest;
  const tensors = (specs: Manifest['inputs']) =>
    specs.map(({ name, datatype, shape }) => `${name} ${datatype}[${shape.join(',')}]`).join('; ');
  const aliases = Object.entries(index.aliases).filter(([, version]) => version === manifest.version);
  const rows: [string, string][] = [
    ['model', `${manifest.name}@${manifest.version}`],
    ['digest', digest],
    ['description', manifest.description],
    ['creator', manifest.creator],
    ['licence', manifest.licence],
    ['source', manifest.source ?? '–'],
    ['published', manifest.createdAt],
    ['served', served.includes(manifest.version) ? 'yes' : 'no (version policy)'],
    ['aliases', aliases.map(([alias]) => alias).join(', ') || '–'],
    ['tier', manifest.tier],
    ['inputs', tensors(manifest.inputs)],
    ['outputs', tensors(manifest.outputs)],
    ['max batch', manifest.maxBatchSize === 0 ? 'no batch dimension' : String(manifest.maxBatchSize)],
    ['graph', size(graph.byteLength)],
    [
      'weights',
      weights === undefined
        ? 'in the graph'
        : `${size(weights.byteLength)} in ${weights.chunks.length} chunks`,
    ],
  ];
  if (edgeProfile === undefined) {
    rows.push(['edge', 'not measured: for the origin only']);
  } else {
    rows.push(
      ['edge engine', `${edgeProfile.engine}, at most ${size(edgeProfile.memoryCapBytes)}`],
      ['edge memory', `${size(edgeProfile.sessionBytes)} loaded, ${size(edgeProfile.peakBytes)} at most`],
      ['edge load', `${edgeProfile.createMs} ms`],
      [
        'edge runs',
        edgeProfile.runs
          .map(({ batchSize, microseconds }) => `batch ${batchSize}: ${(microseconds / 1000).toFixed(2)} ms`)
          .join('; '),
      ],
    );
  }
  return table(rows);
}

const nextSteps: Partial<Record<ErrorCode, string>> = {
  unauthenticated:
    'set EDGEWISE_ADMIN_KEY to the key whose SHA-256 the worker has as EDGEWISE_ADMIN_KEY_SHA256',
  origin_unavailable:
    'is the worker running? npm start starts one on http://localhost:8787; --url or EDGEWISE_URL name another',
  model_not_found: 'edgewise model list shows what is published',
  version_not_found: 'edgewise model list shows the versions',
  digest_mismatch: 'push the same version again: it uploads what is missing or was found damaged',
  too_large: 'a smaller or quantised model fits; --origin publishes it for the origin only',
  overloaded: 'try again in a moment',
};

/** What happened, its code, what to do next. */
export function errorText({ code, message }: EdgewiseError): string {
  const next = nextSteps[code];
  return [`edgewise: ${message}`, `  code: ${code}`, ...(next === undefined ? [] : [`  next: ${next}`])].join(
    '\n',
  );
}
