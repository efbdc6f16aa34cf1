import type { EdgewiseError } from '../../errors.ts';
import type { DataType } from '../../tensor/datatype.ts';
import { elementCount, type Shape } from '../../tensor/shape.ts';
import { describe, invalid, mismatch } from './fail.ts';

/** The innermost arrays of a tensor's JSON data, in order. */
export type Rows = readonly (readonly unknown[])[];

/**
 * Returns the innermost arrays of `data`: `data` itself if it is flat. Their lengths add up to the shape's element count,
 * so allocating that count is safe: the request's text is at least as large.
 *
 * @throws EdgewiseError `shape_mismatch`; `invalid_request` if `data` is not an array.
 */
export function leafRows(what: string, shape: Shape, data: unknown): Rows {
  const count = elementCount(shape);
  if (!Array.isArray(data)) {
    if (shape.length === 0 && data !== undefined && typeof data !== 'object') return [[data]];
    throw invalid(`"data" of ${what} is ${describe(data)}; expected an array`);
  }
  const flat = !Array.isArray(data[0]);
  if (flat) {
    if (data.length === count) return [data];
    throw mismatch(`${what} has ${data.length} elements; its shape [${shape.join(',')}] requires ${count}`);
  }
  let level: unknown[][] = [data];
  for (let axis = 0; axis < shape.length - 1; axis++) {
    level = nextLevel(what, shape, axis, level);
  }
  for (const row of level) checkLength(what, shape, shape.length - 1, row);
  return level;
}

function nextLevel(what: string, shape: Shape, axis: number, level: readonly unknown[][]): unknown[][] {
  const next: unknown[][] = [];
  for (const list of level) {
    checkLength(what, shape, axis, list);
    for (const child of list) {
      if (!Array.isArray(child)) {
        throw mismatch(
          `"data" of ${what} holds ${describe(child)} at nesting level ${axis + 2}; expected arrays nested as deep as shape [${shape.join(',')}]`,
        );
      }
      next.push(child);
    }
  }
  return next;
}

function checkLength(what: string, shape: Shape, axis: number, list: readonly unknown[]): void {
  if (list.length !== shape[axis]) {
    throw mismatch(
      `"data" of ${what} has ${list.length} entries at nesting level ${axis + 1}; shape [${shape.join(',')}] requires ${shape[axis] ?? 'no such level'}`,
    );
  }
}

/** Returns the error for an element of another kind or outside the range. */
export function wrongElement(
  what: string,
  datatype: DataType,
  value: unknown,
  at: number,
  accepted: string,
): EdgewiseError {
  return invalid(`element ${at} of ${what} is ${describe(value)}; ${datatype} takes ${accepted}`);
}
