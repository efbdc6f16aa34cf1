import { encodeBase64 } from '../../bytes.ts';
import { parseCheckpoint } from '../log/checkpoint.ts';
import { consistencyPath } from '../log/merkle.ts';
import { parseNote } from '../log/note.ts';
import { decodeProof } from '../log/proof.ts';
import { type ReadFile, tileNodes } from '../log/tiles.ts';
import type { OlderCheckpoint } from './verify-receipt.ts';

/**
 * An older checkpoint with the proof between it and that of an inclusion proof, made from the log's files. Nothing of it is
 * believed here: `verifyReceipt` judges it.
 *
 * @throws EdgewiseError `invalid_request` for what is no checkpoint or no proof; `not_found` where the log lacks a file.
 */
export async function olderCheckpoint(
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
