/** Reads the names of a model's classes from its file. */
import type { ModelProto } from './proto-types.ts';
import { scopesOf } from './walk.ts';

const keys: readonly string[] = ['names', 'class_names', 'classes', 'labels', 'id2label'];
const maxLabels = 100_000;
const decoder = new TextDecoder();

/** Returns the classes in order, from the file's metadata or else from a classifier in the graph; undefined if there are none. */
export function readClassLabels(model: ModelProto): readonly string[] | undefined {
  for (const key of keys) {
    const value = model.metadataProps?.find((each) => each.key === key)?.value;
    const labels = value === undefined ? undefined : parseLabels(value);
    if (labels !== undefined) return labels;
  }
  for (const { nodes } of scopesOf(model)) {
    for (const { attribute = [] } of nodes) {
      const { strings } = attribute.find(({ name }) => /^class(?:es|labels)_strings$/.test(name ?? '')) ?? {};
      if (strings !== undefined && strings.length > 1) return strings.map((text) => decoder.decode(text));
    }
  }
  return undefined;
}

/**
 * Parses JSON or Python: a list of names, or a map from the numbers 0, 1, 2 … to names. Line breaks in names become spaces.
 * Returns undefined for anything else, and for more than `maxLabels` names.
 */
function parseLabels(text: string): readonly string[] | undefined {
  const value = parseJson(text) ?? parseJson(toJson(text));
  if (typeof value !== 'object' || value === null) return undefined;
  const entries = Object.entries(value);
  const labels = entries.map(([, label]) => label).filter((label) => typeof label === 'string');
  const isInOrder = entries.every(([key], index) => key === String(index));
  return isInOrder && labels.length === entries.length && labels.length > 0 && labels.length <= maxLabels
    ? labels.map((label) => label.replaceAll(/[\r\n]+/g, ' '))
    : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Turns Python such as `{0: 'person', 1: "bus"}` into JSON: keys and strings in double quotes. */
function toJson(text: string): string {
  return text
    .replaceAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g, (_, single, double) =>
      JSON.stringify(String(single ?? double).replaceAll(/\\(.)/g, '$1')),
    )
    .replaceAll(/([{,]\s*)(\d+)\s*:/g, '$1"$2":');
}
