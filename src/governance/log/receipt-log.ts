/** A `ReceiptLog` composed of two parts: the core, which knows the positions of entries, and the files, which prove them. */
import { parseCheckpoint } from './checkpoint.ts';
import { decodeSealed, firstLoose, sealedPath } from './frontier.ts';
import { inclusionPath } from './merkle.ts';
import { parseNote } from './note.ts';
import type { LogCore } from './service.ts';
import { checkpointPath, parseTilePath, type ReadFile, tileNodes, tileWidth } from './tiles.ts';
import type { ReceiptLog, SealedPage } from './types.ts';

export function receiptLog(core: LogCore, read: ReadFile): ReceiptLog {
  return {
    append: (records) => core.append(records),
    async prove(receiptHash, waitMs) {
      const location = await core.locate(receiptHash, waitMs);
      if (location === undefined) return undefined;
      const { size } = parseCheckpoint(parseNote(location.checkpoint).text);
      return { ...location, path: await inclusionPath(location.index, size, tileNodes(size, read)) };
    },
    async findSealed(id) {
      const found = await core.find(id);
      if (found === undefined || found.sealed !== undefined) return found?.sealed;
      return (await readBundle(found.index))?.sealed[0];
    },
    async listSealed(index) {
      const full = await readBundle(index);
      if (full !== undefined) return full;
      const { sealed, end } = await core.readSealed(index);
      if (index >= end) return { sealed: [], next: undefined };
      const after = firstLoose(index) + tileWidth;
      const next = after < end ? after : undefined;
      if (sealed.length > 0) return { sealed, next };
      // Either the bundle became full meanwhile, or none of its receipts is kept.
      return (await readBundle(index)) ?? { sealed: [], next };
    },
    async readFile(path) {
      // Sealed receipts are stored beside the tiles and are not public.
      return path === checkpointPath || parseTilePath(path) !== undefined ? read(path) : undefined;
    },
    cosign: (note) => core.cosign(note),
  };

  /** Reads the full bundle of an entry, starting at that entry. */
  async function readBundle(index: number): Promise<SealedPage | undefined> {
    const bundle = await read(sealedPath(index));
    if (bundle === undefined) return undefined;
    return { sealed: decodeSealed(bundle).slice(index % tileWidth), next: firstLoose(index) + tileWidth };
  }
}
