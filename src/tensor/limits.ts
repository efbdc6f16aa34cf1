/** Limits of a model's inputs and outputs, at push and in a request; documented in `docs/publishing.md`. */

/** Most inputs, and most outputs, of a model. A table has one input for each column. */
export const maxTensors = 512;

/** Longest name of an input or output, in UTF-16 units. */
export const maxTensorNameLength = 256;

/**
 * Most bytes of a receipt that a model's tensors may take. A receipt names each tensor: its name as JSON plus
 * `receiptEntryBytes`. Leaves 6 KiB of the longest receipt for everything else.
 */
export const maxReceiptTensorBytes = 40_000;
export const receiptEntryBytes = 48;
