/**
 * Runs a push in a process of its own: only that can stop a run that never ends, because native code holds its thread until
 * it returns.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EdgewiseError } from '../../errors.ts';
import type { PushResult } from './push.ts';
import {
  decodeFailure,
  type PushMessage,
  type PushOrder,
  type SentPushOptions,
} from './push-process-protocol.ts';
import type { ReportProgress } from './push-progress.ts';

// Node's own types have no functions of WebAssembly.
declare const WebAssembly: { readonly Suspending?: unknown };

/** Longest time that one load or run of the model may take. A large model on a slow disk takes minutes. */
export const defaultTimeLimitMs = 300_000;

export interface PushProcessOptions extends SentPushOptions {
  /** Default 300,000. */
  readonly timeLimitMs?: number | undefined;
  readonly onProgress?: ReportProgress;
}

const main = fileURLToPath(new URL('./push-process-main.ts', import.meta.url));

/**
 * As `pushModel`.
 *
 * @throws EdgewiseError as `pushModel`; `deadline_exceeded` if a load or a run of the model exceeds the limit; `internal` if
 * the process ends without a result.
 */
export async function pushInProcess(
  folder: string,
  { timeLimitMs = defaultTimeLimitMs, onProgress, ...options }: PushProcessOptions,
): Promise<PushResult> {
  // A killed process leaves its temporary files here.
  const scratch = await mkdtemp(join(tmpdir(), 'edgewise-push-'));
  const child = fork(main, [], {
    // Newer versions need no flag, and exit if they do not know it.
    execArgv: WebAssembly.Suspending === undefined ? ['--experimental-wasm-jspi'] : [],
    env: { ...process.env, TMPDIR: scratch },
    serialization: 'advanced',
  });
  const release = killOnExit(child);
  try {
    return await new Supervision(child, { folder, options }, timeLimitMs, onProgress).result;
  } finally {
    release();
    child.kill('SIGKILL');
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Kills the push when this process ends: in the middle of a run, the push handles no signal. Returns the undo. */
function killOnExit(child: ChildProcess): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const kill = () => void child.kill('SIGKILL');
  const release = () => {
    process.off('exit', kill);
    for (const signal of signals) process.off(signal, end);
  };
  const end = (signal: NodeJS.Signals) => {
    kill();
    release();
    process.kill(process.pid, signal);
  };
  process.on('exit', kill);
  for (const signal of signals) process.on(signal, end);
  return release;
}

class Supervision {
  readonly result: Promise<PushResult>;
  readonly #child: ChildProcess;
  readonly #timeLimitMs: number;
  readonly #reject: (error: EdgewiseError) => void;
  #timer: NodeJS.Timeout | undefined;
  #last = 'the push had not begun';

  constructor(
    child: ChildProcess,
    order: PushOrder,
    timeLimitMs: number,
    onProgress: ReportProgress | undefined,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<PushResult>();
    this.result = promise.finally(() => clearTimeout(this.#timer));
    this.#child = child;
    this.#timeLimitMs = timeLimitMs;
    this.#reject = reject;
    this.#wait();
    child.on('message', (message: PushMessage) => {
      this.#wait();
      if (message.kind === 'ready') child.send(order);
      else if (message.kind === 'result') resolve(message.result);
      else if (message.kind === 'failure') reject(decodeFailure(message.failure));
      else if (message.kind === 'progress') {
        const { step, detail } = message.progress;
        this.#last = `last progress: ${step}, ${detail}`;
        onProgress?.(message.progress);
      }
    });
    child.once('error', (cause) => this.#fail('could not be started', cause));
    child.once('exit', (code, signal) => {
      this.#fail(
        `ended ${signal === null ? `with code ${code}` : `by ${signal}, as it does without memory`}`,
      );
    });
  }

  #wait(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#reject(
        new EdgewiseError(
          'deadline_exceeded',
          `a load or run of the model has not ended within ${this.#timeLimitMs / 1000} s (${this.#last}). A model that takes longer needs a longer --time-limit; one that never ends cannot be served: look for a Loop that goes on, or a size that is too large`,
        ),
      );
      this.#child.kill('SIGKILL');
    }, this.#timeLimitMs);
  }

  #fail(what: string, cause?: unknown): void {
    this.#reject(new EdgewiseError('internal', `the process of the push ${what} (${this.#last})`, { cause }));
  }
}
