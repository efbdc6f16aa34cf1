/**
 * The process of `ort-node-process.ts`: one engine, and its sessions by their numbers. One request after the other, read
 * and answered by calls that block: nothing else goes on here, and a large tensor takes one call instead of an event for
 * each 64 KiB.
 */

import { once } from 'node:events';
import { readSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { EdgewiseError, toEdgewiseError } from '../errors.ts';
import { createOrtNodeEngine, type OrtNodeOptions } from './ort-node.ts';
import {
  encodeProcessMessage,
  type ProcessAnswer,
  type ProcessMessage,
  type ProcessReply,
  type ProcessRequest,
  packTensors,
  parseProcessHeader,
  prefixBytes,
  readPrefix,
  sentError,
  unpackTensors,
} from './ort-node-process-protocol.ts';
import type { Session } from './types.ts';

/** Of the process that asks. */
const channel = 3;

interface Load {
  readonly graph: Uint8Array;
  readonly weights?: { readonly path: string; readonly bytes: Uint8Array<ArrayBuffer> };
}

/** @param onRequest Told of each request before it is served. */
export async function serveEngine(
  options: OrtNodeOptions,
  onRequest: (request: Received) => void = () => undefined,
): Promise<never> {
  // The process that asks says when this one ends.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  // Node would wait for the thread below, which waits for the other process.
  process.on('exit', () => process.kill(process.pid, 'SIGKILL'));
  // It ends this process when the other one is gone, also in the middle of a run.
  await once(new Worker(new URL('./ort-node-process-life.ts', import.meta.url)), 'message');
  const sessions = new Map<number, Session>();
  const loads = new Map<number, Load>();
  const engine = createOrtNodeEngine({
    ...options,
    onProviderSkipped: (provider, reason) =>
      send({ header: { kind: 'skipped', provider, reason: sentError(reason) }, payload: [] }),
  });
  const answerTo = async ({ header, payload }: Received): Promise<Answered> => {
    switch (header.operation) {
      case 'providers':
        return { answer: { providers: await engine.providers() } };
      case 'open': {
        const { session, weights } = header;
        loads.set(session, {
          graph: payload,
          ...(weights && { weights: { path: weights.path, bytes: new Uint8Array(weights.byteLength) } }),
        });
        return { answer: {} };
      }
      case 'piece':
        loads.get(header.session)?.weights?.bytes.set(payload, header.at);
        return { answer: {} };
      case 'create': {
        const load = loads.get(header.session);
        loads.delete(header.session);
        if (load === undefined) throw new EdgewiseError('internal', 'the load was not begun');
        const session = await engine.createWhole(load);
        sessions.set(header.session, session);
        return { answer: { inputs: session.inputs, outputs: session.outputs } };
      }
      case 'run': {
        const session = sessions.get(header.session);
        if (session === undefined) throw new EdgewiseError('internal', 'the session is released');
        const fetches = await session.run(unpackTensors(header.feeds, payload), header.fetches);
        const { sent, payload: bytes } = packTensors(fetches);
        return { answer: { fetches: sent }, payload: bytes };
      }
      case 'release': {
        const session = sessions.get(header.session);
        loads.delete(header.session);
        sessions.delete(header.session);
        await session?.release();
        return { answer: {} };
      }
    }
  };
  for (;;) {
    const request = receive();
    onRequest(request);
    try {
      const { answer, payload = [] } = await answerTo(request);
      send({ header: { kind: 'answer', usedBytes: engine.memory().usedBytes, answer }, payload });
    } catch (error) {
      const { usedBytes } = engine.memory();
      send({ header: { kind: 'failure', usedBytes, error: sentError(toEdgewiseError(error)) }, payload: [] });
    }
  }
}

export interface Received {
  readonly header: ProcessRequest;
  /** Its own buffer. */
  readonly payload: Uint8Array<ArrayBuffer>;
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

function read(byteLength: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(byteLength);
  for (let at = 0; at < byteLength; ) {
    const count = patiently(() => readSync(channel, bytes, at, byteLength - at, null));
    // The other side is gone.
    if (count === 0) process.kill(process.pid, 'SIGKILL');
    at += count;
  }
  return bytes;
}

function send(message: ProcessMessage<ProcessReply>): void {
  for (const part of encodeProcessMessage(message)) {
    for (let at = 0; at < part.byteLength; )
      at += patiently(() => writeSync(channel, part, at, part.byteLength - at, null));
  }
}

const nap = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** Where the platform does not let calls block, they are made again a millisecond later. */
function patiently(call: () => number): number {
  for (;;) {
    try {
      return call();
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      Atomics.wait(nap, 0, 0, 1);
    }
  }
}
