/** The thread of `ort-node-thread.ts`: one engine, and its sessions by their numbers. One request after the other. */
import { parentPort, type Transferable, workerData } from 'node:worker_threads';
import { EdgewiseError, toEdgewiseError } from '../errors.ts';
import { createOrtNodeEngine } from './ort-node.ts';
import {
  sentError,
  type ThreadAnswer,
  type ThreadData,
  type ThreadReply,
  type ThreadRequest,
} from './ort-node-thread-protocol.ts';
import { beginRequest, endRequest } from './ort-node-thread-state.ts';
import type { Fetches, Session } from './types.ts';

if (parentPort === null) throw new Error('ort-node-thread-main.ts is a thread of ort-node-thread.ts');
const port = parentPort;
const { options, state }: ThreadData = workerData;
const sessions = new Map<number, Session>();
const engine = createOrtNodeEngine({
  ...options,
  onProviderSkipped: (provider, reason) => send({ kind: 'skipped', provider, reason: sentError(reason) }),
});

let last = Promise.resolve();
port.on('message', (request: ThreadRequest) => {
  last = last.then(() => serve(request));
});

async function serve(request: ThreadRequest): Promise<void> {
  if (!beginRequest(state)) return;
  const { id } = request;
  try {
    const { answer, transfer = [] } = await answerTo(request);
    send({ kind: 'answer', id, usedBytes: engine.memory().usedBytes, answer }, transfer);
  } catch (error) {
    const { usedBytes } = engine.memory();
    send({ kind: 'failure', id, usedBytes, error: sentError(toEdgewiseError(error)) });
  } finally {
    endRequest(state);
  }
}

function send(reply: ThreadReply, transfer: readonly Transferable[] = []): void {
  port.postMessage(reply, transfer);
}

interface Answered {
  readonly answer: ThreadAnswer;
  /** Buffers that go over without a copy. */
  readonly transfer?: readonly Transferable[];
}

async function answerTo({ operation, asks }: ThreadRequest): Promise<Answered> {
  switch (operation) {
    case 'providers':
      return { answer: await engine.providers() };
    case 'create': {
      const session = await engine.createWhole(asks.model);
      sessions.set(asks.session, session);
      return { answer: { inputs: session.inputs, outputs: session.outputs } };
    }
    case 'run': {
      const session = sessions.get(asks.session);
      if (session === undefined) throw new EdgewiseError('internal', 'the session is released');
      const answer = await session.run(asks.feeds, asks.fetches);
      return { answer, transfer: buffersOf(answer) };
    }
    case 'release': {
      const session = sessions.get(asks.session);
      sessions.delete(asks.session);
      await session?.release();
      return { answer: undefined };
    }
  }
}

/** Outputs are copies that the binding made for this run: nobody else holds them. */
function buffersOf(outputs: Fetches): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { data } of outputs.values()) {
    if ('buffer' in data && data.buffer instanceof ArrayBuffer) buffers.add(data.buffer);
  }
  return [...buffers];
}
