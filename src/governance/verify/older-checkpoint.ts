import { encodeBase64 } from '../../bytes.ts';
import { parseCheckpoint } from '../log/checkpoint.ts';
import { consistencyPath } from '../log/merkle.ts';
import { parseNote } from '../log/note.ts';
import { decodeProof } from '../log/proof.ts';
import { type ReadFile, tileNodes } from '../log/tiles.ts';
import type { OlderCheckpoint } from './verify-receipt.ts';

/**
 * Proves consistency between an older checkpoint and the checkpoint of an inclusion proof, from the log's files. Nothing is
 * verified here; `verifyReceipt` does that.
 *
 * @throws EdgewiseError `invalid_request` for a malformed checkpoint or proof; `not_found` if the log lacks a file.
 */
export async function proveOlderCheckpoint(
  checkpoint: string,
  proof: string,
  files: ReadFile,
): Promise<OlderCheckpoint> {
  const sizes = [checkpoint, decodeProof(proof).checkpoint].map(
    (note) => parseCheckpoint(parseNote(note).text).size,
  );
  const size = Math.max(...sizes);
  const path = await consistencyPath(Math.min(...sizes), size, tileNodes(size, files));
  return { checkpoint, path: path.map(encodeBase64) };
}
