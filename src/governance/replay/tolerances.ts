/**
 * How far an answer may differ from its re-run on another runtime. For FP32 and FP64, the tolerances are those that
 * publishing applies between the edge's answer and the native one; `docs/governance.md` says how much of it real models
 * use. They allow for processors and graphics cards that sum in another order or multiply with fewer bits (TF32 has ten).
 */
import { tolerance } from '../../tensor/compare.ts';
import type { DataType } from '../../tensor/datatype.ts';
import type { Tolerance } from '../../tensor/distance.ts';

/** One step of FP16 is up to a thousandth of its value, and intermediate values may have been rounded several times. */
const halfTolerance: Tolerance = { relative: 1e-2, absolute: 1e-3 };

/** Returns undefined for integers, booleans and strings, which must be equal. */
export function replayTolerance(datatype: DataType): Tolerance | undefined {
  switch (datatype) {
    case 'FP32':
    case 'FP64':
      return tolerance;
    case 'FP16':
      return halfTolerance;
    default:
      return undefined;
  }
}
