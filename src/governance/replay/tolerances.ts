/**
 * How far an answer may be from its re-run on another runtime. Those of FP32 and FP64 are what publishing holds the edge's
 * answer to the native one with; `docs/governance.md` says how much of it real models use. They leave room for processors
 * and graphics cards that sum in another order or multiply with fewer bits (TF32 has ten).
 */
import { tolerance } from '../../tensor/compare.ts';
import type { DataType } from '../../tensor/datatype.ts';
import type { Tolerance } from '../../tensor/distance.ts';

/** One step of FP16 is up to a thousandth of its value, and what leads to it may have been rounded several times. */
const halfTolerance: Tolerance = { relative: 1e-2, absolute: 1e-3 };

/** Undefined of whole numbers, truth values and strings: they have to be the same. */
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
