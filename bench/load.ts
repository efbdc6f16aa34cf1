/**
 * A load generator for latencies of a tenth of a millisecond. It encodes a request once, uses one socket per connection,
 * and reads an answer only as far as needed to find its end, because HTTP libraries take as long as a small model.
 */
import { connect, type Socket } from 'node:net';
import type { RequestBody } from './bodies.ts';

export interface Answer {
  readonly status: number;
  readonly headers: string;
  readonly body: Buffer;
  /** From the first byte sent to the last byte received. */
  readonly ms: number;
}

const endOfHead = Buffer.from('\r\n\r\n');

/** Encodes a POST over HTTP/1.1. */
export function requestBytes(url: URL, path: string, { body, headers }: RequestBody): Buffer {
  const lines = [
    `POST ${path} HTTP/1.1`,
    `Host: ${url.host}`,
    `Content-Length: ${body.byteLength}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]);
}

/** A persistent connection with one request at a time. */
export class Connection {
  readonly #socket: Socket;
  #pieces: Buffer[] = [];
  #received = 0;
  /** Length of the whole answer; infinite until its head has arrived. */
  #expectedBytes = Number.POSITIVE_INFINITY;
  #headBytes = 0;
  #startMs = 0;
  #receivedMs = 0;
  #settle: PromiseWithResolvers<Answer> | undefined;
  #ended: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (piece) => this.#take(piece));
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(new Error('the server closed the connection')));
  }

  /** True once the connection cannot send any more. */
  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  static async open(url: URL): Promise<Connection> {
    const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new Connection(socket);
  }

  /** @throws Error for an answer without Content-Length, and if the connection ends or has ended. */
  send(request: Buffer): Promise<Answer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    this.#pieces = [];
    this.#received = 0;
    this.#expectedBytes = Number.POSITIVE_INFINITY;
    this.#settle = Promise.withResolvers();
    this.#startMs = performance.now();
    this.#socket.write(request);
    return this.#settle.promise;
  }

  close(): void {
    this.#settle = undefined;
    this.#socket.destroy();
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#settle?.reject(error);
  }

  #take(piece: Buffer): void {
    // Taken before the answer is read, because the client's work is not the server's time.
    this.#receivedMs = performance.now();
    this.#pieces.push(piece);
    this.#received += piece.byteLength;
    if (this.#expectedBytes === Number.POSITIVE_INFINITY) this.#readHead();
    if (this.#received >= this.#expectedBytes) this.#finish();
  }

  #readHead(): void {
    const bytes = this.#joinPieces();
    const end = bytes.indexOf(endOfHead);
    if (end === -1) return;
    this.#headBytes = end + endOfHead.byteLength;
    const length = /\r\ncontent-length: *(\d+)/i.exec(bytes.toString('latin1', 0, end))?.[1];
    if (length === undefined) {
      this.#settle?.reject(
        new Error(`an answer without Content-Length:\n${bytes.toString('latin1', 0, end)}`),
      );
      return;
    }
    this.#expectedBytes = this.#headBytes + Number(length);
  }

  #finish(): void {
    const ms = this.#receivedMs - this.#startMs;
    const bytes = this.#joinPieces();
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.resolve({
      status: Number(bytes.toString('latin1', 9, 12)),
      headers: bytes.toString('latin1', 0, this.#headBytes),
      body: bytes.subarray(this.#headBytes),
      ms,
    });
  }

  #joinPieces(): Buffer {
    const [first] = this.#pieces;
    if (this.#pieces.length === 1 && first !== undefined) return first;
    const bytes = Buffer.concat(this.#pieces);
    this.#pieces = [bytes];
    return bytes;
  }
}

/** @throws Error for any status but 200. */
export async function sendOk(connection: Connection, request: Buffer): Promise<Answer> {
  const answer = await connection.send(request);
  if (answer.status !== 200) throw new Error(`answered with ${answer.status}: ${answer.body.toString()}`);
  return answer;
}

/** Sends `count` requests one after another and returns their latencies in milliseconds. */
export async function measureLatencies(
  connection: Connection,
  request: Buffer,
  count: number,
): Promise<number[]> {
  const times: number[] = [];
  for (let sent = 0; sent < count; sent++) times.push((await sendOk(connection, request)).ms);
  return times;
}

/** One of several sides that are compared. */
export interface Lane {
  readonly connection: Connection;
  readonly bytes: Buffer;
  /** Latencies in milliseconds. */
  readonly times: number[];
}

/** Measures all lanes in `slices` slices of `perSlice` requests each, in a new random order for each slice. */
export async function measureAlternately(
  lanes: readonly Lane[],
  { slices, perSlice }: { readonly slices: number; readonly perSlice: number },
): Promise<void> {
  for (let slice = 0; slice < slices; slice++) {
    for (const { connection, bytes, times } of shuffle(lanes)) {
      times.push(...(await measureLatencies(connection, bytes, perSlice)));
    }
  }
}

function shuffle<T>(items: readonly T[]): readonly T[] {
  return items
    .map((item) => ({ item, order: Math.random() }))
    .sort((one, other) => one.order - other.order)
    .map(({ item }) => item);
}

export interface LoadResult {
  readonly seconds: number;
  readonly latenciesMs: readonly number[];
}

/** Sends as many requests as possible in `seconds` over `connections` connections, one at a time on each. */
export async function closedLoop(
  url: URL,
  request: Buffer,
  { connections, seconds }: { readonly connections: number; readonly seconds: number },
): Promise<LoadResult> {
  const open = await Promise.all(Array.from({ length: connections }, () => Connection.open(url)));
  const latenciesMs: number[] = [];
  const beginMs = performance.now();
  const untilMs = beginMs + seconds * 1000;
  await Promise.all(
    open.map(async (connection) => {
      while (performance.now() < untilMs) latenciesMs.push((await sendOk(connection, request)).ms);
    }),
  );
  const took = (performance.now() - beginMs) / 1000;
  for (const connection of open) connection.close();
  return { seconds: took, latenciesMs };
}
