/** What a model's interface may hold, at push as in a request. `docs/publishing.md` states them. */

/** Inputs of a model, and outputs of it: a table comes with an input for each of its columns. */
export const maxTensors = 512;

/** UTF-16 units of an input's or output's name. */
export const maxTensorNameLength = 256;

/**
 * Bytes that the tensors of one model may take in a receipt, which names each: its name as JSON, and `receiptEntryBytes` for
 * what stands beside the name. Leaves 6 KiB of the longest receipt to all else that it says.
 */
export const maxReceiptTensorBytes = 40_000;
export const receiptEntryBytes = 48;
