/**
 * A worker around cached documents, one cache for each `?cache=`, so that tests can let requests end in the middle of
 * reads, in real time.
 */
import { waitUntil } from 'cloudflare:workers';
import { systemClock } from '../../../src/async/clock.ts';
import { toEdgewiseError } from '../../../src/errors.ts';
import { CachedDocuments } from '../../../src/storage/cached-documents.ts';

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

interface Cache {
  readonly documents: CachedDocuments<string>;
  reads: number;
}
const caches = new Map<string, Cache>();
/** How long the next read takes; one at a time is set by the requests. */
let nextReadMs = 0;

async function read(cache: Cache): Promise<{ value: string; etag: string }> {
  cache.reads += 1;
  const ms = nextReadMs;
  nextReadMs = 0;
  await sleep(ms);
  return { value: `read ${cache.reads}`, etag: String(cache.reads) };
}

function cacheOf(name: string, defer: (work: Promise<unknown>) => void): Cache {
  const known = caches.get(name);
  if (known !== undefined) return known;
  const refuse = () => Promise.reject(new Error('only read'));
  const cache: Cache = {
    reads: 0,
    documents: new CachedDocuments({
      state: {
        name: 'slow',
        get: () => read(cache),
        getIfChanged: () => read(cache),
        put: refuse,
        delete: refuse,
        list: refuse,
      },
      clock: systemClock,
      defer,
      what: 'the documents',
      keyOf: (id) => id,
      decode: (_, text) => text,
      maxAgeMs: 60_000,
    }),
  };
  caches.set(name, cache);
  return cache;
}

/**
 * `GET /?cache=c` reads. `readMs`: how long the read takes. `leaveMs`: after this time the request answers, whether the read has ended or not.
 * `undeferred`: the cache does not defer its reads.
 */
export default {
  async fetch(request: Request): Promise<Response> {
    const query = new URL(request.url).searchParams;
    const cache = cacheOf(query.get('cache') ?? '', query.has('undeferred') ? () => {} : waitUntil);
    if (query.has('readMs')) nextReadMs = Number(query.get('readMs'));
    const reading = Promise.resolve(cache.documents.get('id')).catch(
      (error: unknown) => toEdgewiseError(error).code,
    );
    const leaveMs = query.get('leaveMs');
    const value = await (leaveMs === null ? reading : sleep(Number(leaveMs)).then(() => 'left'));
    return Response.json({ value, reads: cache.reads });
  },
};
