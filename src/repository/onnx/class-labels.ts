/** Names of a model's classes, where its file has them. */
import type { ModelProto } from './proto-types.ts';
import { scopesOf } from './walk.ts';

const keys: readonly string[] = ['names', 'class_names', 'classes', 'labels', 'id2label'];
const maxLabels = 100_000;
const decoder = new TextDecoder();

/** Returns the classes in order: of the file's metadata, else of a classifier in the graph; undefined where there are none. */
export function operatorLabels(model: ModelProto): readonly string[] | undefined {
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

/** JSON or Python: a list of names, or a map from numbers, without gaps, to them. */
function parseLabels(text: string): readonly string[] | undefined {
  const value = parseJson(text) ?? parseJson(jsonOfPython(text));
  if (typeof value !== 'object' || value === null) return undefined;
  const entries = Object.entries(value);
  const labels = entries.map(([, label]) => label).filter((label) => typeof label === 'string');
  const inOrder = entries.every(([key], index) => key === String(index));
  return inOrder && labels.length === entries.length && labels.length > 0 && labels.length <= maxLabels
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

/** `{0: 'person', 1: "bus"}` as JSON: numbers as keys in quotes, strings in double ones. */
function jsonOfPython(text: string): string {
  return text
    .replaceAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g, (_, single, double) =>
      JSON.stringify(String(single ?? double).replaceAll(/\\(.)/g, '$1')),
    )
    .replaceAll(/([{,]\s*)(\d+)\s*:/g, '$1"$2":');
}
