/** Uploads the blobs of a push that the server lacks. */
import type { AdminClient } from '../../client/admin-client.ts';
import type { PackageBlob } from '../../repository/publish/types.ts';
import type { ReportProgress } from './push-progress.ts';

const parallelChecks = 4;
/** Blobs of 8 MiB: two leave a worker, which holds 24 MiB of bodies by default, room for its callers. */
const parallelUploads = 2;

/** Returns the blobs that were uploaded. */
export async function uploadMissing(
  client: AdminClient,
  blobs: readonly PackageBlob[],
  onProgress: ReportProgress | undefined,
): Promise<readonly PackageBlob[]> {
  const distinct = [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
  const missing: PackageBlob[] = [];
  await inParallel(parallelChecks, distinct, async (blob) => {
    if (!(await client.hasBlob(blob.digest))) missing.push(blob);
  });
  const totalBytes = missing.reduce((sum, { byteLength }) => sum + byteLength, 0);
  onProgress?.({
    step: 'upload',
    detail: `${missing.length} of ${distinct.length} blobs are missing, ${totalBytes} bytes`,
  });
  let sentBytes = 0;
  await inParallel(parallelUploads, missing, async ({ digest, byteLength, read }) => {
    await client.putBlob(digest, await read());
    sentBytes += byteLength;
    onProgress?.({ step: 'upload', detail: `${sentBytes} of ${totalBytes} bytes` });
  });
  return missing;
}

/** Runs `work` on every item, at most `workers` at a time. */
async function inParallel<T>(
  workers: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const remaining = items.values();
  await Promise.all(
    Array.from({ length: workers }, async () => {
      for (const item of remaining) await work(item);
    }),
  );
}
