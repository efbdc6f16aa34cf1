/** A `ReceiptLog` out of the two parts: the core that knows places, and the files that prove them. */
import type { Bytes } from './bytes.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { sealedAt, sealedPath } from './frontier.ts';
import { inclusionPath } from './merkle.ts';
import { parseNote } from './note.ts';
import type { LogCore } from './service.ts';
import { checkpointPath, parseTilePath, type ReadFile, tileNodes, tileWidth } from './tiles.ts';
import type { ReceiptLog } from './types.ts';

export function receiptLog(core: LogCore, read: ReadFile): ReceiptLog {
  return {
    append: (records) => core.append(records),
    async prove(receiptHash, waitMs) {
      const place = await core.locate(receiptHash, waitMs);
      if (place === undefined) return undefined;
      const { size } = parseCheckpoint(parseNote(place.checkpoint).text);
      return { ...place, path: await inclusionPath(place.index, size, tileNodes(size, read)) };
    },
    async sealed(id) {
      const found = await core.find(id);
      return found === undefined || found.sealed !== undefined ? found?.sealed : readSealed(found.index);
    },
    async file(path) {
      // Sealed receipts stand beside the tiles, and are nobody's to read by their path.
      return path === checkpointPath || parseTilePath(path) !== undefined ? read(path) : undefined;
    },
    cosign: (note) => core.cosign(note),
  };

  async function readSealed(index: number): Promise<Bytes | undefined> {
    const bundle = await read(sealedPath(index));
    return bundle === undefined ? undefined : sealedAt(bundle, index % tileWidth);
  }
}
