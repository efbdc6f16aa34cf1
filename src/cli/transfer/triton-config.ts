/** The `config.pbtxt` of Triton Inference Server (triton-inference-server/common, protobuf/model_config.proto). */
import type { Manifest } from '../../repository/schema.ts';

/** Returns the model's folder and name in Triton, one path segment. `~` is in no model name, and URLs keep it. */
export function tritonName(name: string): string {
  return name.replace('/', '~');
}

/** Returns file name → text, one label a line, for each output that has labels. */
export function labelFiles({ outputs, labels }: Manifest): ReadonlyMap<string, string> {
  return new Map(
    outputs.flatMap(({ name }, index) => {
      const lines = Object.hasOwn(labels, name) ? labels[name] : undefined;
      return lines === undefined ? [] : [[labelFile(index), `${lines.join('\n')}\n`] as const];
    }),
  );
}

function labelFile(index: number): string {
  return `labels-${index}.txt`;
}

/**
 * Returns the configuration that serves every version in the folder; the caller chooses which version it describes.
 *
 * Triton batches only a model that its push measured as row-wise: with another model, one caller would get rows that depend
 * on the rows of another. Without settings of its own, a batch is what arrived during the previous run.
 */
export function tritonConfig(manifest: Manifest): string {
  const { maxBatchSize, dynamicBatching, rowWise } = manifest;
  const files = labelFiles(manifest);
  const isBatched = maxBatchSize > 0;
  const lines = [
    `# ${manifest.name}@${manifest.version}, written by edgewise model pull --triton.`,
    `name: ${quote(tritonName(manifest.name))}`,
    'platform: "onnxruntime_onnx"',
    'backend: "onnxruntime"',
    `max_batch_size: ${maxBatchSize}`,
    'version_policy { all { } }',
    ...manifest.inputs.map((tensor) => tensorBlock('input', tensor, isBatched)),
    ...manifest.outputs.map((tensor, index) =>
      tensorBlock('output', tensor, isBatched, files.has(labelFile(index)) ? labelFile(index) : undefined),
    ),
  ];
  if (isBatched && rowWise === true) {
    const preferred = dynamicBatching?.preferredBatchSizes ?? [];
    const settings = [
      ...(preferred.length === 0 ? [] : [`preferred_batch_size: [ ${preferred.join(', ')} ]`]),
      `max_queue_delay_microseconds: ${dynamicBatching?.maxQueueDelayMicroseconds ?? 0}`,
    ];
    lines.push(`dynamic_batching { ${settings.join(' ')} }`);
  }
  return `${lines.join('\n')}\n`;
}

function tensorBlock(
  kind: 'input' | 'output',
  { name, datatype, shape }: Manifest['inputs'][number],
  isBatched: boolean,
  labels?: string,
): string {
  const dims = isBatched ? shape.slice(1) : shape;
  const fields = [
    `name: ${quote(name)}`,
    `data_type: TYPE_${datatype === 'BYTES' ? 'STRING' : datatype}`,
    // Triton has no empty shape: clients send one element, which the model gets as a scalar. For a model without a batch
    // dimension, the ONNX Runtime back end converts it and rejects an empty reshape.
    `dims: [ ${dims.length === 0 ? '1' : dims.join(', ')} ]`,
    ...(dims.length === 0 && isBatched ? ['reshape { shape: [ ] }'] : []),
    ...(labels === undefined ? [] : [`label_filename: ${quote(labels)}`]),
  ];
  return `${kind} [ { ${fields.join(' ')} } ]`;
}

/** Returns `text` as a string of protobuf's text format. */
function quote(text: string): string {
  const escaped = text.replace(/["\\\p{Cc}]/gu, (character) =>
    character === '"' || character === '\\'
      ? `\\${character}`
      : [...new TextEncoder().encode(character)]
          .map((byte) => `\\${byte.toString(8).padStart(3, '0')}`)
          .join(''),
  );
  return `"${escaped}"`;
}
