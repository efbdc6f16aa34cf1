/** Models for people. */
import type { PublishedModel } from '../../client/admin-client.ts';
import type { ShadowFigure } from '../../protocol/shadow-figures.ts';
import { findShadow, findSplit } from '../../repository/index/served.ts';
import type { ModelInspection } from '../../repository/onnx/inspect.ts';
import { type Manifest, type ModelIndex, type SplitArm, targetName } from '../../repository/schema.ts';
import { type Row, sizeText, table } from './tables.ts';
import { termsRows } from './terms.ts';

export function modelList(models: readonly ModelIndex[]): string {
  if (models.length === 0) return 'no models are published';
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

/** `stable→1`, and in brackets its split and its shadow. */
function aliasText(index: ModelIndex, alias: string): string {
  const split = findSplit(index, alias);
  const shadow = findShadow(index, alias);
  const more = [
    ...(split === undefined ? [] : [`split ${armsText(split.arms)}`]),
    ...(shadow === undefined ? [] : [`shadow ${armsText([shadow])}`]),
  ];
  return `${alias}→${index.aliases[alias]}${more.length === 0 ? '' : ` (${more.join('; ')})`}`;
}

/** The arms as the command line takes them: `1=90 2:origin=10`. */
export function armsText(arms: readonly SplitArm[]): string {
  return arms.map((arm) => `${targetName(arm)}=${arm.percent}`).join(' ');
}

export function shadowFigures(figures: readonly ShadowFigure[]): string {
  if (figures.length === 0) return 'the isolate that answered has copied no request';
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
  const { weights, graph } = manifest;
  const aliases = Object.entries(index.aliases).filter(([, version]) => version === manifest.version);
  return table([
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
    ['inputs', tensorsText(manifest.inputs)],
    ['outputs', tensorsText(manifest.outputs)],
    ['max batch', manifest.maxBatchSize === 0 ? 'no batch dimension' : String(manifest.maxBatchSize)],
    ['rows', rowsText(manifest)],
    ['graph', sizeText(graph.byteLength)],
    [
      'weights',
      weights === undefined
        ? 'in the graph'
        : `${sizeText(weights.byteLength)} in ${weights.chunks.length} chunks`,
    ],
    ...edgeRows(manifest),
  ]);
}

function edgeRows({ edgeProfile, untried }: Manifest): readonly Row[] {
  if (edgeProfile === undefined) {
    return [
      ['edge', 'not measured: for the origin only'],
      ...(untried === undefined ? [] : [['not tried', untried] satisfies Row]),
    ];
  }
  const runs = edgeProfile.runs.map(
    ({ batchSize, microseconds }) => `batch ${batchSize}: ${(microseconds / 1000).toFixed(2)} ms`,
  );
  return [
    ['edge engine', `${edgeProfile.engine}, at most ${sizeText(edgeProfile.memoryCapBytes)}`],
    [
      'edge memory',
      `${sizeText(edgeProfile.sessionBytes)} loaded, ${sizeText(edgeProfile.peakBytes)} at most`,
    ],
    ['edge load', `${edgeProfile.createMs} ms`],
    ['edge runs', runs.join('; ')],
  ];
}

function tensorsText(
  specs: readonly { readonly name: string; readonly datatype: string; readonly shape: readonly unknown[] }[],
): string {
  return specs.map(({ name, datatype, shape }) => `${name} ${datatype}[${shape.join(',')}]`).join('; ');
}

/** An .onnx file that is not published. */
export function inspectionDetails(inspection: ModelInspection): string {
  const { inputs, outputs, opsets, nodeCount, weightBytes, operators } = inspection;
  return table([
    ['inputs', tensorsText(inputs)],
    ['outputs', tensorsText(outputs)],
    [
      'opsets',
      Object.entries(opsets)
        .map(([domain, version]) => `${domain} ${version}`)
        .join(', '),
    ],
    ['nodes', String(nodeCount)],
    ['weights', sizeText(weightBytes)],
    [
      'operators',
      operators.map(({ domain, opType, count }) => `${domain && `${domain}:`}${opType}×${count}`).join(' '),
    ],
  ]);
}

/** Whether origins batch requests of this version, and why not. */
function rowsText({ maxBatchSize, rowWise }: Manifest): string {
  if (rowWise === undefined)
    return 'not measured: requests run one by one until the model is pushed as a new version';
  if (!rowWise) return 'may depend on each other: requests run one by one';
  return maxBatchSize === 0 ? 'independent' : 'independent: origins batch requests';
}

/** The shares of traffic that a version gets by splits and shadows. */
function trafficRows({ splits = {}, shadows = {} }: ModelIndex, version: string): readonly Row[] {
  const named = (what: string, arms: readonly [alias: string, arm: SplitArm][]): readonly Row[] => {
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
