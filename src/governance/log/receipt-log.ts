/** A `ReceiptLog` out of the two parts: the core that knows places, and the files that prove them. */
import type { Bytes } from '../../bytes.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { allSealed, firstLoose, sealedAt, sealedPath } from './frontier.ts';
import { inclusionPath } from './merkle.ts';
import { parseNote } from './note.ts';
import type { LogCore } from './service.ts';
import { checkpointPath, parseTilePath, type ReadFile, tileNodes, tileWidth } from './tiles.ts';
import type { ReceiptLog, SealedPage } from './types.ts';

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
    async sealedFrom(index) {
      const full = await readBundle(index);
      if (full !== undefined) return full;
      const { sealed, end } = await core.kept(index);
      if (index >= end) return { sealed: [], next: undefined };
      const after = firstLoose(index) + tileWidth;
      const next = after < end ? after : undefined;
      if (sealed.length > 0) return { sealed, next };
      // It became full just now, or none of its receipts is kept.
      return (await readBundle(index)) ?? { sealed: [], next };
    },
    async file(path) {
      // Sealed receipts stand beside the tiles, and are nobody's to read by their path.
      return path === checkpointPath || parseTilePath(path) !== undefined ? read(path) : undefined;
    },
    cosign: (note) => core.cosign(note),
  };

  async function readBundle(index: number): Promise<SealedPage | undefined> {
    const bundle = await read(sealedPath(index));
    if (bundle === undefined) return undefined;
    return { sealed: allSealed(bundle).slice(index % tileWidth), next: firstLoose(index) + tileWidth };
  }

  async function readSealed(index: number): Promise<Bytes | undefined> {
    const bundle = await read(sealedPath(index));
    return bundle === undefined ? undefined : sealedAt(bundle, index % tileWidth);
  }
}
