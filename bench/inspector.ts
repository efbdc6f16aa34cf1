/** Reads an isolate's memory use through workerd's inspector. */
import type { Workerd } from './workerd.ts';

/** Bytes of V8's heap with its garbage, of workerd's own objects, and of array buffers; WASM memory is not included. */
export interface HeapUsage {
  readonly v8: number;
  readonly embedder: number;
  readonly buffers: number;
}

export interface Inspector {
  heap(): Promise<HeapUsage>;
  /** Returns the bytes of all WASM memories of the isolate. */
  wasmBytes(): Promise<number>;
  close(): void;
}

type Values = Readonly<Record<string, unknown>>;

/** Connects to the inspector of a worker that was started with `inspector: true`. */
export async function inspect({ miniflare }: Workerd): Promise<Inspector> {
  const url = await miniflare.getInspectorURL();
  const socket = new WebSocket(new URL('/core:user:worker', url));
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error(`no inspector at ${url}`));
  });
  const waiting = new Map<number, (answer: Values) => void>();
  let contextId: unknown;
  socket.onmessage = ({ data }) => {
    const message: unknown = JSON.parse(String(data));
    const { id, method, params } = readObject(message);
    if (method === 'Runtime.executionContextCreated') {
      contextId ??= readObject(readObject(params)['context'])['id'];
    }
    waiting.get(Number(id))?.(readObject(message));
    waiting.delete(Number(id));
  };
  let lastId = 0;
  async function call(method: string, params: Values = {}): Promise<Values> {
    lastId += 1;
    const id = lastId;
    const answer = await new Promise<Values>((resolve) => {
      waiting.set(id, resolve);
      socket.send(JSON.stringify({ id, method, params }));
    });
    if (answer['error'] !== undefined) throw new Error(`${method}: ${JSON.stringify(answer['error'])}`);
    return readObject(answer['result']);
  }
  await call('Runtime.enable');

  return {
    async heap() {
      const usage = await call('Runtime.getHeapUsage');
      return {
        v8: Number(usage['usedSize']),
        embedder: Number(usage['embedderHeapUsedSize']),
        buffers: Number(usage['backingStorageSize']),
      };
    },
    async wasmBytes() {
      const prototype = await call('Runtime.evaluate', {
        expression: 'WebAssembly.Memory.prototype',
        contextId,
      });
      const { objectId: prototypeObjectId } = readObject(prototype['result']);
      const { objects } = await call('Runtime.queryObjects', { prototypeObjectId });
      const sum = await call('Runtime.callFunctionOn', {
        objectId: readObject(objects)['objectId'],
        functionDeclaration:
          'function () { return this.reduce((sum, memory) => sum + memory.buffer.byteLength, 0); }',
        returnByValue: true,
      });
      return Number(readObject(sum['result'])['value']);
    },
    close: () => socket.close(),
  };
}

function readObject(value: unknown): Values {
  if (typeof value !== 'object' || value === null) {
    throw new Error(`the inspector answered ${JSON.stringify(value)}; expected an object`);
  }
  return { ...value };
}
