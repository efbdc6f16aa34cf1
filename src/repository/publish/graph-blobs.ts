import type { Bytes } from '../../bytes.ts';
import { digestOf } from '../../storage/digest.ts';
import type { Manifest } from '../schema.ts';
import type { PackageBlob } from './types.ts';

/** Largest blob that the server accepts; a larger graph is published in chunks. */
const maxBlobBytes = 16 * 1024 * 1024;
const chunkBytes = 8 * 1024 * 1024;

export interface GraphBlobs {
  /** The graph's entry in the manifest. */
  readonly graph: Manifest['graph'];
  readonly blobs: readonly PackageBlob[];
}

export async function cutGraph(bytes: Bytes): Promise<GraphBlobs> {
  const whole = await blobOf(bytes);
  const { digest, byteLength } = whole;
  if (byteLength <= maxBlobBytes) return { graph: { digest, byteLength }, blobs: [whole] };
  const blobs: PackageBlob[] = [];
  const chunks: { digest: typeof digest; offset: number; byteLength: number }[] = [];
  for (let offset = 0; offset < byteLength; offset += chunkBytes) {
    const blob = await blobOf(bytes.subarray(offset, offset + chunkBytes));
    blobs.push(blob);
    chunks.push({ digest: blob.digest, offset, byteLength: blob.byteLength });
  }
  return { graph: { digest, byteLength, chunks }, blobs };
}

export async function blobOf(bytes: Bytes): Promise<PackageBlob> {
  return { digest: await digestOf(bytes), byteLength: bytes.byteLength, read: async () => bytes };
}
