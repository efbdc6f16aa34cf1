import type { EdgewiseError } from '../../errors.ts';
import type { DataType } from '../../tensor/datatype.ts';
import { elementCount, type Shape } from '../../tensor/shape.ts';
import { describe, invalid, mismatch } from './fail.ts';

/** The innermost arrays of a tensor's JSON data, in order. */
export type Rows = readonly (readonly unknown[])[];

/**
 * The innermost arrays of `data`: `data` itself when it is flat. Their lengths add up to the shape's element count, so
 * that count may be allocated: the text has paid for it.
 *
 * @throws EdgewiseError `shape_mismatch`; `invalid_request` when `data` is no array.
 */
export function leafRows(what: string, shape: Shape, data: unknown): Rows {
  const count = elementCount(shape);
  if (!Array.isArray(data)) {
    if (shape.length === 0 && data !== undefined && typeof data !== 'object') return [[data]];
    throw invalid(`data of ${what} is ${describe(data)}, wanted an array`);
  }
  const flat = !Array.isArray(data[0]);
  if (flat) {
    if (data.length === count) return [data];
    throw mismatch(
      `${what} of shape [${shape.join(',')}] wants ${count} elements, ${data.length} were given`,
    );
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
          `data of ${what} holds ${describe(child)} at nesting level ${axis + 2}, wanted arrays as deep as shape [${shape.join(',')}]`,
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
      `data of ${what} has ${list.length} entries at nesting level ${axis + 1}, shape [${shape.join(',')}] wants ${shape[axis] ?? 'no such level'}`,
    );
  }
}

/** The error for an element of another kind or outside the range. */
export function wrongElement(
  what: string,
  datatype: DataType,
  value: unknown,
  at: number,
  wanted: string,
): EdgewiseError {
  return invalid(`element ${at} of ${what} is ${describe(value)}, ${datatype} wants ${wanted}`);
}
