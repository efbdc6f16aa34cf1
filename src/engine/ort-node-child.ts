/** The engine's process as its parent sees it: the pending requests in order, and the time limit of the current one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../async/clock.ts';
import { MessageReader } from './message-reader.ts';
import type { OrtNodeOptions } from './ort-node.ts';
import {
  encodeProcessMessage,
  type ProcessAnswer,
  type ProcessReply,
  type ProcessRequest,
  unpackError,
} from './ort-node-process-protocol.ts';
import { SessionLostError } from './session-lost.ts';

export interface EngineProcessOptions {
  readonly engine: Omit<OrtNodeOptions, 'onProviderSkipped'>;
  readonly onProviderSkipped: OrtNodeOptions['onProviderSkipped'];
  readonly clock: Clock;
  readonly main: URL;
  /** Called once when the process has ended, after all pending requests are settled. */
  readonly onEnd: () => void;
}

/** How long the process may work on one request. */
export interface WorkLimit {
  /** Time from the start of the work after which the process is killed. */
  readonly ms: number;
  /** The last part of `ms`, during which the engine is reported as unavailable. */
  readonly graceMs: number;
}

export interface ProcessReplied {
  readonly answer: ProcessAnswer;
  /** Has its own buffer. */
  readonly payload: Uint8Array;
  /** Duration of the work. */
  readonly ms: number;
}

interface Pending {
  readonly limit: WorkLimit;
  readonly resolve: (replied: ProcessReplied) => void;
  readonly reject: (error: unknown) => void;
}

export class EngineProcess {
  /** As of the last reply; 0 once the process has ended. */
  usedBytes = 0;
  /** Why the process ended; undefined while it runs. */
  failure: Error | undefined;
  /** False until the first answer. */
  hasAnswered = false;
  readonly #options: EngineProcessOptions;
  readonly #child: ChildProcess;
  readonly #channel: Socket;
  /** The process works on the first; the others wait. */
  readonly #pending: Pending[] = [];
  #begunMs = 0;
  #cancelTimer: () => void = () => undefined;
  readonly #kill = () => void this.#child.kill('SIGKILL');

  constructor(options: EngineProcessOptions) {
    this.#options = options;
    const { engine, main } = options;
    this.#child = spawn(process.execPath, [fileURLToPath(main), JSON.stringify(engine)], {
      // A terminal sends signals to the whole process group, including a child that does not ignore them yet.
      detached: true,
      // Output of libraries must not mix with the log on stdout.
      stdio: ['ignore', 2, 2, 'pipe', 'pipe'],
    });
    const [, , , channel, life] = this.#child.stdio;
    if (!(channel instanceof Socket && life instanceof Socket))
      throw new Error('the engine process has no channel');
    this.#channel = channel;
    const reader = new MessageReader<ProcessReply>((header, payload) => this.#receive(header, payload));
    channel.on('data', (chunk) => reader.push(chunk));
    // A socket fails only because the process ended, which its exit event reports.
    for (const socket of [channel, life]) socket.on('error', () => undefined);
    life.unref();
    this.#child.on('error', (error) => this.#end(error, false));
    this.#child.on('exit', (code, signal) =>
      this.#end(new Error(`the engine's process ended with ${signal ?? `code ${code}`}`), false),
    );
    process.on('exit', this.#kill);
    this.#unref();
  }

  get hasEnded(): boolean {
    return this.failure !== undefined;
  }

  /** False once the current request has used up its time without the grace. */
  get isInTime(): boolean {
    const [head] = this.#pending;
    if (head === undefined) return true;
    return this.#options.clock.now() - this.#begunMs < head.limit.ms - head.limit.graceMs;
  }

  /**
   * @throws EdgewiseError what the engine throws.
   * @throws SessionLostError if the process ended before it answered. The request it was working on is the culprit.
   */
  call(header: ProcessRequest, payload: readonly Uint8Array[], limit: WorkLimit): Promise<ProcessReplied> {
    if (this.failure !== undefined) return Promise.reject(toLostError(this.failure, false, false));
    const parts = encodeProcessMessage({ header, payload });
    return new Promise<ProcessReplied>((resolve, reject) => {
      this.#pending.push({ limit, resolve, reject });
      if (this.#pending.length === 1) {
        this.#child.ref();
        this.#channel.ref();
        this.#begin();
      }
      this.#channel.cork();
      for (const part of parts) this.#channel.write(part);
      this.#channel.uncork();
    });
  }

  #receive(reply: ProcessReply, payload: Uint8Array): void {
    if (reply.kind === 'skipped') {
      this.#options.onProviderSkipped?.(reply.provider, unpackError(reply.reason));
      return;
    }
    this.hasAnswered = true;
    this.usedBytes = reply.usedBytes;
    const ms = this.#options.clock.now() - this.#begunMs;
    const head = this.#pending.shift();
    this.#cancelTimer();
    if (this.#pending.length === 0) this.#unref();
    else this.#begin();
    if (reply.kind === 'answer') head?.resolve({ answer: reply.answer, payload, ms });
    else head?.reject(unpackError(reply.error));
  }

  /** Starts the timer of the first pending request. */
  #begin(): void {
    const [head] = this.#pending;
    if (head === undefined) return;
    const { ms } = head.limit;
    this.#begunMs = this.#options.clock.now();
    this.#cancelTimer = this.#options.clock.after(ms, () =>
      this.#end(
        new Error(`it worked on one request for ${Math.round(ms)} ms, the longest time allowed`),
        true,
      ),
    );
  }

  /** Lets the parent exit while nothing is pending. */
  #unref(): void {
    this.#child.unref();
    this.#channel.unref();
  }

  #end(failure: Error, isOverdue: boolean): void {
    if (this.failure !== undefined) return;
    this.failure = failure;
    this.usedBytes = 0;
    this.#cancelTimer();
    this.#kill();
    process.off('exit', this.#kill);
    const [head, ...waiting] = this.#pending.splice(0);
    head?.reject(toLostError(failure, true, isOverdue));
    for (const { reject } of waiting) reject(toLostError(failure, false, false));
    this.#unref();
    this.#options.onEnd();
  }
}

function toLostError({ message }: Error, isCulprit: boolean, isOverdue: boolean): SessionLostError {
  return new SessionLostError(message, { isCulprit, isOverdue });
}
