/** Text for people: tables, sizes, errors. */
import type { EdgewiseError, ErrorCode } from '../../errors.ts';

export type Row = readonly [name: string, value: string];

/** Pads each column to its widest cell. */
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

export function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 2 ** 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

const nextSteps: Partial<Record<ErrorCode, string>> = {
  unauthenticated:
    'set EDGEWISE_ADMIN_KEY to the key whose SHA-256 is EDGEWISE_ADMIN_KEY_SHA256 of the worker',
  origin_unavailable:
    'is the worker running? npm start starts one on http://localhost:8787; name another with --url or EDGEWISE_URL',
  model_not_found: 'edgewise model list shows the published models',
  version_not_found: 'edgewise model list shows the versions',
  signature_invalid: "name the public key of the model's publisher: --key, or EDGEWISE_TRUSTED_PUBLISHERS",
  digest_mismatch: 'push the same version again: it uploads the blobs that are missing or damaged',
  too_large: 'use a smaller or quantised model, or publish it for the origin only: --origin',
  overloaded: 'try again in a moment',
};

/** The message, its code, and what to do next. */
export function errorText({ code, message }: EdgewiseError): string {
  const next = nextSteps[code];
  return [`edgewise: ${message}`, `  code: ${code}`, ...(next === undefined ? [] : [`  next: ${next}`])].join(
    '\n',
  );
}
