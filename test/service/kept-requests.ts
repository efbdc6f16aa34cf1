/** Requests with a marker wherever a request can hold one, for every route of the API description. */
import { deflateSync, gzipSync } from 'node:zlib';
import { z } from 'zod';
import { headerLengthName } from '../../src/protocol/oip/types.ts';
import type { Marker } from './kept-search.ts';

export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer> | undefined;
}

export interface Keys {
  readonly admin: string;
  readonly tenant: string;
}

const describedSchema = z.object({
  paths: z.record(z.string(), z.record(z.string(), z.unknown())),
});
const methods = ['get', 'head', 'post', 'put', 'delete'];

/** Requests every route with the marker in its path, query, headers, and in bodies that it rejects. */
export async function everywhere(url: string, marker: Marker, keys: Keys): Promise<readonly Sent[]> {
  const { paths } = describedSchema.parse(await (await fetch(`${url}/openapi.json`)).json());
  return Object.entries(paths).flatMap(([path, described]) =>
    methods.filter((method) => method in described).flatMap((method) => atRoute(method, path, marker, keys)),
  );
}

/** Parameters of paths that exist: requests that would change something there must be rejected. */
const known: Readonly<Record<string, string>> = { name: 'kept-text', version: '1', alias: 'stable' };

function atRoute(method: string, path: string, { text }: Marker, keys: Keys): readonly Sent[] {
  const fillPath = (values: Readonly<Record<string, string>>) =>
    path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? text));
  const strange = `${fillPath({})}?q=${text}&${text}=1`;
  const there = `${fillPath(known)}?q=${text}`;
  const changes = method !== 'get' && method !== 'head';
  const all: Sent[] = [];
  for (const body of changes ? refusedBodies(text) : [undefined]) {
    for (const authorization of [undefined, `Bearer ${text}`, `Bearer ${keys.tenant}`]) {
      const headers = { ...strangeHeaders(text), ...(authorization && { authorization }) };
      all.push({ method, path: strange, headers, body }, { method, path: there, headers, body });
    }
    const headers = { ...strangeHeaders(text), authorization: `Bearer ${keys.admin}` };
    all.push({ method, path: strange, headers, body });
    if (!changes || (method !== 'delete' && body !== undefined && !/\/unload|\/load/.test(path))) {
      all.push({ method, path: there, headers, body });
    }
  }
  return all;
}

/** No route accepts any of these bodies, so anything stored of them breaks the promise. */
function refusedBodies(text: string): readonly (string | Uint8Array<ArrayBuffer> | undefined)[] {
  return [
    undefined,
    text,
    `{"${text}":"${text}"`,
    JSON.stringify({ [text]: text, unexpected: [text] }),
    JSON.stringify([{ [text]: text }]),
    new Uint8Array(gzipSync(`{"${text}`)),
  ];
}

function strangeHeaders(text: string): Readonly<Record<string, string>> {
  return {
    'User-Agent': text,
    Referer: `https://${text}.example/${text}`,
    Cookie: `${text}=${text}`,
    'X-Forwarded-For': text,
    'X-Session-Id': text,
    'If-None-Match': `"${text}"`,
    'X-Anything': text,
    Baggage: `${text}=${text}`,
    tracestate: `${text}=${text}`,
    Prefer: text,
    Origin: `https://${text}.example`,
  };
}

const json = { 'Content-Type': 'application/json' };

/** Returns a body with the marker in every member: id, parameters, names, elements. */
function inference(inputs: readonly object[], { text }: Marker, more: object = {}): string {
  return JSON.stringify({
    id: text,
    parameters: { [text]: text, note: text },
    inputs: inputs.map((input) => ({ parameters: { [text]: text }, ...input })),
    ...more,
  });
}

const words = ({ text }: Marker, count = 3) => ({
  name: 'x',
  datatype: 'BYTES',
  shape: [count],
  data: Array<string>(count).fill(text),
});

/** JSON text of INT64 elements, which exceed JavaScript numbers. */
function numbersBody(marker: Marker): string {
  const { real, whole } = marker;
  const body = inference(
    [
      { name: 'a', datatype: 'FP32', shape: [2, 2], data: [...real, ...real] },
      { name: 'b', datatype: 'INT64', shape: [2], data: 'WHOLE' },
    ],
    marker,
  );
  return body.replace('"WHOLE"', `[${whole.join(',')}]`);
}

function binary(
  name: string,
  datatype: string,
  shape: readonly number[],
  bytes: Uint8Array,
  { text }: Marker,
) {
  const head = Buffer.from(
    JSON.stringify({
      id: text,
      parameters: { binary_data_output: true, note: text },
      inputs: [{ name, datatype, shape, parameters: { binary_data_size: bytes.byteLength } }],
    }),
  );
  return {
    headers: { [headerLengthName]: String(head.byteLength) },
    body: new Uint8Array(Buffer.concat([head, bytes])),
  };
}

function bytesElements({ text }: Marker, count: number): Uint8Array {
  const element = Buffer.alloc(4 + text.length);
  element.writeUInt32LE(text.length);
  element.write(text, 4);
  return Buffer.concat(Array<Buffer>(count).fill(element));
}

/** Sends inferences to `model` (BYTES to BYTES): answered, rejected, compressed, cut off. */
export function textInferences(model: string, marker: Marker): readonly Sent[] {
  const { text } = marker;
  const path = `/v2/models/${model}/infer`;
  const post = (body: Sent['body'], headers: Record<string, string> = {}): Sent => ({
    method: 'post',
    path,
    headers: { ...json, ...headers },
    body,
  });
  const good = inference([words(marker)], marker);
  const framed = binary('x', 'BYTES', [3], bytesElements(marker, 3), marker);
  const zipped = new Uint8Array(gzipSync(good));
  return [
    post(good),
    post(good, strangeHeaders(text)),
    post(good, { traceparent: `00-${hexOf(text).slice(0, 32)}-${hexOf(text).slice(0, 16)}-01` }),
    post(good, { 'Edgewise-Purpose': text }),
    post(good, { Prefer: 'receipt=logged' }),
    post(good, { 'Edgewise-Tier': text }),
    post(good, { 'Edgewise-Jurisdiction': text }),
    post(good, { 'Edgewise-Timeout-Ms': text }),
    post(good, { 'Content-Type': text }),
    post(good, { 'Content-Encoding': text }),
    post(good, { [headerLengthName]: text }),
    post(zipped, { 'Content-Encoding': 'gzip' }),
    post(new Uint8Array(deflateSync(good)), { 'Content-Encoding': 'deflate' }),
    post(zipped.slice(0, -20), { 'Content-Encoding': 'gzip' }),
    post(Buffer.from(good).subarray(0, -10).toString(), {}),
    { ...post(framed.body), headers: framed.headers },
    { ...post(framed.body.slice(0, -5)), headers: framed.headers },
    post(inference([words(marker)], marker, { outputs: [{ name: text }] })),
    post(
      inference([words(marker)], marker, {
        outputs: [{ name: 'y', parameters: { classification: 2, [text]: text } }],
      }),
    ),
    post(inference([{ ...words(marker), name: text }], marker)),
    post(inference([{ ...words(marker), datatype: text }], marker)),
    post(inference([{ ...words(marker), shape: [text] }], marker)),
    post(inference([{ ...words(marker), shape: [7] }], marker)),
    post(inference([{ ...words(marker), datatype: 'FP32' }], marker)),
    post(inference([{ ...words(marker), data: { [text]: text } }], marker)),
    post(inference([words(marker)], marker, { parameters: { timeout: text, priority: text } })),
    post(`${good}${text}`),
    post(`[${text}`),
  ];
}

/** Sends inferences with numbers: `kept-numbers` answers them; `gather` fails on an index that ONNX Runtime names. */
export function numberInferences(pair: string, gather: string, marker: Marker): readonly Sent[] {
  const { text, whole, real } = marker;
  const at = (path: string, body: Sent['body'], headers: Record<string, string> = json): Sent => ({
    method: 'post',
    path: `/v2/models/${path}/infer`,
    headers,
    body,
  });
  const requestAt = (index: string) =>
    inference(
      [
        { name: 'x', datatype: 'FP32', shape: [2], data: real },
        { name: 'at', datatype: 'INT64', shape: [1], data: 'AT' },
      ],
      marker,
    ).replace('"AT"', `[${index}]`);
  return [
    at(pair, numbersBody(marker)),
    at(pair, numbersBody(marker).replace(String(whole[1]), `${whole[1]}.5`)),
    at(pair, numbersBody(marker).replace(String(whole[1]), `"${text}"`)),
    at(pair, numbersBody(marker).replace(String(whole[1]), `${whole[1]}${whole[1]}`)),
    at(gather, requestAt('1')),
    at(gather, requestAt(String(whole[0]))),
    at(gather, requestAt(`-${whole[1]}`)),
  ];
}

/** Sends a body that is too large to hold, so that it is streamed to the origin. */
export function streamedInference(model: string, marker: Marker, bytes: number): Sent {
  const count = Math.ceil(bytes / (marker.text.length + 4));
  const { body, headers } = binary('x', 'BYTES', [count], bytesElements(marker, count), marker);
  return { method: 'post', path: `/v2/models/${model}/infer`, headers, body };
}

export function hexOf(text: string): string {
  return Buffer.from(text).toString('hex');
}
