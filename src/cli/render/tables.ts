/** What the command line prints: plain text for people, JSON for programs. */
import type { PublishedModel } from '../../client/admin-client.ts';
import type { EdgewiseError, ErrorCode } from '../../errors.ts';
import type { ShadowFigure } from '../../protocol/shadow-figures.ts';
import { findShadow, findSplit } from '../../repository/index/served.ts';
import { type Manifest, type ModelIndex, type SplitArm, targetName } from '../../repository/schema.ts';
import { termsRows } from './terms.ts';

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
    ...models.map((index) => [
      index.name,
      index.versions.map(({ version }) => version).join(', '),
      Object.keys(index.aliases)
        .map((alias) => aliasText(index, alias))
        .join(', ') || '–',
      index.unloaded ? 'unloaded' : 'published',
    ]),
  ]);
}

/** `stable→1`, and in brackets how it is split and copied. */
function aliasText(index: ModelIndex, alias: string): string {
  const split = findSplit(index, alias);
  const shadow = findShadow(index, alias);
  const more = [
    ...(split === undefined ? [] : [`split ${armsText(split.arms)}`]),
    ...(shadow === undefined ? [] : [`shadow ${armsText([shadow])}`]),
  ];
  return `${alias}→${index.aliases[alias]}${more.length === 0 ? '' : ` (${more.join('; ')})`}`;
}

/** `1=90 2:origin=10`: as the command line takes them. */
export function armsText(arms: readonly SplitArm[]): string {
  return arms.map((arm) => `${targetName(arm)}=${arm.percent}`).join(' ');
}

export function shadowFigures(figures: readonly ShadowFigure[]): string {
  if (figures.length === 0) {
    return 'no request was copied where this was answered';
  }
  return table([
    [
      'ALIAS',
      'TO',
      'SENT',
      'SKIPPED',
      'FAILED',
      'UNLIKE',
      'EXACT',
      'NEAR',
      'MAX DIFFERENCE',
      'SAME TOP CLASS',
    ],
    ...figures.map((figure) => [
      figure.alias,
      targetName(figure),
      String(figure.sent),
      String(figure.skipped),
      String(figure.failed),
      String(figure.unlike),
      `${figure.exact} of ${figure.compared}`,
      `${figure.near} of ${figure.compared}`,
      figure.maxDifference.toPrecision(3),
      figure.rows === 0 ? '–' : `${figure.sameTopRows} of ${figure.rows} rows`,
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
    ...termsRows(manifest.terms),
    ['source', manifest.source ?? '–'],
    ['published', manifest.createdAt],
    ['served', served.includes(manifest.version) ? 'yes' : 'no (version policy)'],
    ['aliases', aliases.map(([alias]) => alias).join(', ') || '–'],
    ...trafficRows(index, manifest.version),
    ['tier', manifest.tier],
    ['inputs', tensors(manifest.inputs)],
    ['outputs', tensors(manifest.outputs)],
    ['max batch', manifest.maxBatchSize === 0 ? 'no batch dimension' : String(manifest.maxBatchSize)],
    ['rows', rowsText(manifest)],
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
    if (manifest.untried !== undefined) rows.push(['not tried', manifest.untried]);
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

/** Whether origins run the requests of several callers together, and why not. */
function rowsText({ maxBatchSize, rowWise }: Manifest): string {
  if (rowWise === undefined)
    return 'not measured: requests run one by one until it is pushed as a new version';
  if (!rowWise) return 'not shown to be answered by themselves: requests run one by one';
  return maxBatchSize === 0 ? 'each answered by itself' : 'each answered by itself: origins batch requests';
}

/** What a version gets by splits and shadows. */
function trafficRows({ splits = {}, shadows = {} }: ModelIndex, version: string): [string, string][] {
  const named = (what: string, arms: readonly [alias: string, arm: SplitArm][]): [string, string][] => {
    const mine = arms.filter(([, arm]) => arm.version === version);
    const texts = mine.map(
      ([alias, { percent, tier }]) => `${percent}% of ${alias}${tier === undefined ? '' : `, ${tier} only`}`,
    );
    return texts.length === 0 ? [] : [[what, texts.join('; ')]];
  };
  return [
    ...named(
      'split',
      Object.entries(splits).flatMap(([alias, { arms }]) =>
        arms.map((arm): [string, SplitArm] => [alias, arm]),
      ),
    ),
    ...named('shadow', Object.entries(shadows)),
  ];
}

const nextSteps: Partial<Record<ErrorCode, string>> = {
  unauthenticated:
    'set EDGEWISE_ADMIN_KEY to the key whose SHA-256 the worker has as EDGEWISE_ADMIN_KEY_SHA256',
  origin_unavailable:
    'is the worker running? npm start starts one on http://localhost:8787; --url or EDGEWISE_URL name another',
  model_not_found: 'edgewise model list shows what is published',
  version_not_found: 'edgewise model list shows the versions',
  signature_invalid: 'name the public key of who signed it: --key, or EDGEWISE_TRUSTED_PUBLISHERS',
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
