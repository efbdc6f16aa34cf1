/**
 * Measures the memory of `edgewise model push --origin` for a 3 GiB model: of the push itself, and of ONNX Runtime, which
 * runs in a separate process here. The server checks the blobs' digests and drops them. `npm run bench -- publish-memory`
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { dataLocations, encodeModel, tensorTypes } from '../src/repository/onnx/proto.ts';
import { value } from '../test/repository/onnx/models.ts';
import { publisherKey } from '../test/support/publisher.ts';
import { licenceFile, licenceText, openSourceTerms } from '../test/support/terms.ts';
import { publish } from './report.ts';
import { temporaryFolder } from './workerd.ts';

const gibibyte = 2 ** 30;
const mebibyte = 2 ** 20;
/** Width of a layer's square matrix: 256 MiB each. */
const width = 8192;
const layers = 12;
const layerBytes = 4 * width * width;
const limitMebibytes = 300;

const folder = join(temporaryFolder('publish'), 'large');
await writeModel();
const server = await startServer();
const { peaks, seconds } = await measurePush();
server.close();
rmSync(folder, { recursive: true });

const rows = Object.entries(peaks).map(([name, { anonymous, mapped }]) => [
  name,
  (anonymous / mebibyte).toFixed(0),
  (mapped / mebibyte).toFixed(0),
]);
publish({
  name: 'publish-memory',
  tables: [{ columns: ['process', 'own memory at most, MiB', 'mapped files at most, MiB'], rows }],
  notes: [
    `${((layers * layerBytes) / gibibyte).toFixed(1)} GiB of weights in ${server.blobs.size} blobs, pushed in ${seconds.toFixed(0)} s. Mapped files are the model itself, which the system may drop and read again.`,
  ],
  raw: { peaks, seconds, blobs: server.blobs.size },
});
if (peaks.push.anonymous > limitMebibytes * mebibyte) {
  throw new Error(`the push took more than ${limitMebibytes} MiB`);
}

async function writeModel(): Promise<void> {
  mkdirSync(join(folder, '1'), { recursive: true });
  const config = { name: 'large', description: 'd', terms: openSourceTerms };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(join(folder, licenceFile), licenceText);
  const shape = ['n', width];
  const graph = encodeModel({
    irVersion: 8n,
    opsetImport: [{ version: 17n }],
    graph: {
      name: 'large',
      node: Array.from({ length: layers }, (_, layer) => ({
        opType: 'MatMul',
        input: [`h${layer}`, `w${layer}`],
        output: [`h${layer + 1}`],
      })),
      initializer: Array.from({ length: layers }, (_, layer) => ({
        name: `w${layer}`,
        dims: [BigInt(width), BigInt(width)],
        dataType: tensorTypes.FLOAT,
        externalData: [
          { key: 'location', value: 'weights.data' },
          { key: 'offset', value: String(layer * layerBytes) },
          { key: 'length', value: String(layerBytes) },
        ],
        dataLocation: dataLocations.EXTERNAL,
      })),
      input: [value('h0', shape)],
      output: [value(`h${layers}`, shape)],
    },
  });
  writeFileSync(join(folder, '1', 'model.onnx'), graph);
  const file = await open(join(folder, '1', 'weights.data'), 'w');
  const block = new Float32Array((8 * mebibyte) / 4);
  for (let written = 0; written < layers * layerBytes; written += block.byteLength) {
    // Blocks differ, so that no two chunks are the same blob.
    for (let index = 0; index < block.length; index += 1) {
      block[index] = (((index * 31 + written / 7) % 1009) / 1009 - 0.5) / 40;
    }
    await file.write(new Uint8Array(block.buffer));
  }
  await file.close();
}

interface Peak {
  /** Bytes of memory that is not backed by a file. */
  anonymous: number;
  /** Bytes of mapped files, including the program itself. */
  mapped: number;
}

async function measurePush() {
  const child = fork(join(import.meta.dirname, 'publish-memory-push.ts'), [], { serialization: 'advanced' });
  const peaks = { push: { anonymous: 0, mapped: 0 }, runtime: { anonymous: 0, mapped: 0 } };
  let runtime: number | undefined;
  const timer = setInterval(() => {
    sample(child.pid, peaks.push);
    sample(runtime, peaks.runtime);
  }, 50);
  const began = performance.now();
  child.on('message', (message: { readonly runtime?: number; readonly step?: string }) => {
    runtime = message.runtime ?? runtime;
    if (message.step !== undefined) {
      console.log(`${((performance.now() - began) / 1000).toFixed(1)} s  ${message.step}`);
    }
  });
  child.send({ folder, url: server.url, publisherKey });
  await waitForExit(child);
  clearInterval(timer);
  return { peaks, seconds: (performance.now() - began) / 1000 };
}

function waitForExit(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`the push ended with ${code}`))));
  });
}

function sample(pid: number | undefined, peak: Peak): void {
  if (pid === undefined) return;
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return;
  }
  const bytes = (key: string) =>
    1024 * Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  peak.anonymous = Math.max(peak.anonymous, bytes('RssAnon'));
  peak.mapped = Math.max(peak.mapped, bytes('RssFile'));
}

/** Starts a server with the routes that a push uses, without a store. */
async function startServer() {
  const blobs = new Set<string>();
  const service = createServer(async (request, response) => {
    const digest = decodeURIComponent(request.url?.split('/').at(-1) ?? '');
    const hash = createHash('sha256');
    for await (const piece of request) hash.update(piece);
    const isBlob = request.url?.startsWith('/admin/blobs/');
    if (request.method === 'PUT' && isBlob) {
      const found = `sha256:${hash.digest('hex')}`;
      if (found === digest) blobs.add(digest);
      response.writeHead(found === digest ? 204 : 400).end();
    } else if (request.method === 'PUT') {
      response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"status":"created"}');
    } else {
      response.writeHead(404, { 'Edgewise-Error': 'model_not_found' }).end('{"error":"nothing is stored"}');
    }
  });
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
  const address = service.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return { url: `http://127.0.0.1:${address.port}`, blobs, close: () => service.close() };
}
