/**
 * The process that `ort-node-process.ts` starts: one engine, and its sessions by number. It serves one request at a time
 * with blocking reads and writes, so that a large tensor takes one call instead of an event for each 64 KiB.
 */

import { once } from 'node:events';
import { readSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { Bytes } from '../bytes.ts';
import { EdgewiseError, toEdgewiseError } from '../errors.ts';
import { createOrtNodeEngine, type DirectOrtNodeEngine, type OrtNodeOptions } from './ort-node.ts';
import {
  encodeProcessMessage,
  type ProcessAnswer,
  type ProcessRequest,
  packError,
  packTensors,
  parseProcessHeader,
  prefixBytes,
  readPrefix,
  unpackTensors,
} from './ort-node-process-protocol.ts';
import type { Session } from './types.ts';

/** File descriptor of the channel to the parent process. */
const channel = 3;

interface Load {
  readonly graph: Uint8Array;
  readonly weights?: { readonly path: string; readonly bytes: Bytes };
}

/** @param onRequest Called with each request before it is served. */
export async function serveEngine(
  options: OrtNodeOptions,
  onRequest: (request: Received) => void = () => undefined,
): Promise<never> {
  // The parent process decides when this one ends.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  // Without this, Node would wait for the thread below, which waits for the parent.
  process.on('exit', () => process.kill(process.pid, 'SIGKILL'));
  // Kills this process when the parent is gone, even during a run.
  await once(new Worker(new URL('./ort-node-process-life.ts', import.meta.url)), 'message');
  const server = new EngineServer(options);
  for (;;) {
    const request = receive();
    onRequest(request);
    write(await server.serve(request));
  }
}

class EngineServer {
  readonly #engine: DirectOrtNodeEngine;
  readonly #sessions = new Map<number, Session>();
  readonly #loads = new Map<number, Load>();

  constructor(options: OrtNodeOptions) {
    this.#engine = createOrtNodeEngine({
      ...options,
      onProviderSkipped: (provider, reason) =>
        write(
          encodeProcessMessage({
            header: { kind: 'skipped', provider, reason: packError(reason) },
            payload: [],
          }),
        ),
    });
  }

  /** Returns the encoded reply. Never rejects: a failure, also one to encode an answer, is a reply too. */
  async serve(request: Received): Promise<readonly Uint8Array[]> {
    try {
      const { answer, payload = [] } = await this.#answer(request);
      return encodeProcessMessage({
        header: { kind: 'answer', usedBytes: this.#usedBytes, answer },
        payload,
      });
    } catch (error) {
      const header = {
        kind: 'failure',
        usedBytes: this.#usedBytes,
        error: packError(toEdgewiseError(error)),
      } as const;
      return encodeProcessMessage({ header, payload: [] });
    }
  }

  get #usedBytes(): number {
    return this.#engine.memory().usedBytes;
  }

  async #answer({ header, payload }: Received): Promise<Answered> {
    switch (header.operation) {
      case 'providers':
        return { answer: { providers: await this.#engine.providers() } };
      case 'open': {
        const { session, weights } = header;
        this.#loads.set(session, {
          graph: payload,
          ...(weights && { weights: { path: weights.path, bytes: new Uint8Array(weights.byteLength) } }),
        });
        return { answer: {} };
      }
      case 'piece':
        this.#loads.get(header.session)?.weights?.bytes.set(payload, header.at);
        return { answer: {} };
      case 'create': {
        const load = this.#loads.get(header.session);
        this.#loads.delete(header.session);
        if (load === undefined) throw new EdgewiseError('internal', 'a create came without an open');
        const session = await this.#engine.createWhole(load);
        this.#sessions.set(header.session, session);
        return { answer: { inputs: session.inputs, outputs: session.outputs } };
      }
      case 'run': {
        const session = this.#sessions.get(header.session);
        if (session === undefined) throw new EdgewiseError('internal', 'the session is released');
        const fetches = await session.run(unpackTensors(header.feeds, payload), header.fetches);
        const { tensors, payload: bytes } = packTensors(fetches);
        return { answer: { fetches: tensors }, payload: bytes };
      }
      case 'release': {
        const session = this.#sessions.get(header.session);
        this.#loads.delete(header.session);
        this.#sessions.delete(header.session);
        await session?.release();
        return { answer: {} };
      }
    }
  }
}

export interface Received {
  readonly header: ProcessRequest;
  /** Has its own buffer. */
  readonly payload: Bytes;
}

interface Answered {
  readonly answer: ProcessAnswer;
  readonly payload?: readonly Uint8Array[];
}

function receive(): Received {
  const { headerBytes, payloadBytes } = readPrefix(read(prefixBytes));
  const header = parseProcessHeader<ProcessRequest>(read(headerBytes));
  return { header, payload: read(payloadBytes) };
}

function read(byteLength: number): Bytes {
  const bytes = new Uint8Array(byteLength);
  for (let at = 0; at < byteLength; ) {
    const count = retryWhileBusy(() => readSync(channel, bytes, at, byteLength - at, null));
    // The parent is gone.
    if (count === 0) process.kill(process.pid, 'SIGKILL');
    at += count;
  }
  return bytes;
}

function write(parts: readonly Uint8Array[]): void {
  for (const part of parts) {
    for (let at = 0; at < part.byteLength; )
      at += retryWhileBusy(() => writeSync(channel, part, at, part.byteLength - at, null));
  }
}

const nap = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** Repeats a call every millisecond while it fails with EAGAIN: some platforms do not let calls on pipes block. */
function retryWhileBusy(call: () => number): number {
  for (;;) {
    try {
      return call();
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      Atomics.wait(nap, 0, 0, 1);
    }
  }
}
