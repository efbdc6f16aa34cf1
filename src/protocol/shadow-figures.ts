/** The document at `/admin/models/{model}/shadows`: what the copies of an alias's requests showed. */
import { z } from 'zod';

const count = z.int().nonnegative();

export const shadowFigureSchema = z.object({
  model: z.string(),
  /** The alias whose requests are copied. */
  alias: z.string(),
  /** The version that answers the copies. */
  version: z.string(),
  /** Absent: placement decides where a copy runs. */
  tier: z.enum(['edge', 'origin']).optional(),
  /** Copies that were begun: compared, unlike, failed or still running. */
  sent: count,
  /** Copies that were due, and left out because the isolate was too busy. */
  skipped: count,
  failed: count,
  /** Answers that lack an output, or have one of another datatype or shape. */
  unlike: count,
  compared: count,
  /** Compared answers in which every value is the same. */
  exact: count,
  /** Compared answers in which every value is within the tolerance of publishing. */
  near: count,
  /** The greatest difference of two finite numbers in any compared answer. */
  maxDifference: z.number(),
  /** Rows of two-dimensional floating outputs. */
  rows: count,
  /** Rows that have the same top class. */
  sameTopRows: count,
});
export type ShadowFigure = Readonly<z.infer<typeof shadowFigureSchema>>;

/** Where copies of an alias's requests go. */
export type ShadowTarget = Pick<ShadowFigure, 'model' | 'alias' | 'version' | 'tier'>;
