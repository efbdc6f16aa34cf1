/** The `config.pbtxt` of Triton Inference Server (triton-inference-server/common, protobuf/model_config.proto). */
import type { Manifest } from '../../repository/schema.ts';

/** The model's folder, and so its name there: one segment of a path. No name of ours has a `~`, and URLs keep it. */
export function tritonName(name: string): string {
  return name.replace('/', '~');
}

/** File name → text, one label on each line, for each output that has labels. */
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
 * The configuration for every version that lies in the folder: which one is meant is for the caller to say.
 *
 * Triton gathers batches only for a model that its push has found to be row-wise: of any other it would answer rows of one
 * caller to another. Without a setting of its own, a batch is what gathered during the run before it.
 */
export function tritonConfig(manifest: Manifest): string {
  const { maxBatchSize, dynamicBatching, rowWise } = manifest;
  const files = labelFiles(manifest);
  const batched = maxBatchSize > 0;
  const lines = [
    `# ${manifest.name}@${manifest.version}, written by edgewise model pull --triton.`,
    `name: ${quoted(tritonName(manifest.name))}`,
    'platform: "onnxruntime_onnx"',
    'backend: "onnxruntime"',
    `max_batch_size: ${maxBatchSize}`,
    'version_policy { all { } }',
    ...manifest.inputs.map((tensor) => tensorBlock('input', tensor, batched)),
    ...manifest.outputs.map((tensor, index) =>
      tensorBlock('output', tensor, batched, files.has(labelFile(index)) ? labelFile(index) : undefined),
    ),
  ];
  if (batched && rowWise === true) {
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
  batched: boolean,
  labels?: string,
): string {
  const dims = batched ? shape.slice(1) : shape;
  const fields = [
    `name: ${quoted(name)}`,
    `data_type: TYPE_${datatype === 'BYTES' ? 'STRING' : datatype}`,
    // Triton has no empty shape: clients send one element, which the model gets as a scalar. Its ONNX Runtime back end
    // does that by itself for a model without a batch dimension, where an empty reshape is refused.
    `dims: [ ${dims.length === 0 ? '1' : dims.join(', ')} ]`,
    ...(dims.length === 0 && batched ? ['reshape { shape: [ ] }'] : []),
    ...(labels === undefined ? [] : [`label_filename: ${quoted(labels)}`]),
  ];
  return `${kind} [ { ${fields.join(' ')} } ]`;
}

/** A string of protobuf's text format. */
function quoted(text: string): string {
  const escaped = text.replace(/["\\\p{Cc}]/gu, (character) =>
    character === '"' || character === '\\'
      ? `\\${character}`
      : [...new TextEncoder().encode(character)]
          .map((byte) => `\\${byte.toString(8).padStart(3, '0')}`)
          .join(''),
  );
  return `"${escaped}"`;
}
