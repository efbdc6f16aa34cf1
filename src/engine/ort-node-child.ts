/** The engine's process as the process that asks it sees it: what was asked, in its order, and what it takes to end it. */
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
  receivedError,
} from './ort-node-process-protocol.ts';
import { SessionLostError } from './session-lost.ts';

export interface EngineProcessOptions {
  readonly engine: Omit<OrtNodeOptions, 'onProviderSkipped'>;
  readonly onProviderSkipped: OrtNodeOptions['onProviderSkipped'];
  readonly clock: Clock;
  readonly main: URL;
  /** Told when it has ended, once, after all that it was asked is settled. */
  readonly onEnd: () => void;
}

/** How long a request may be at work. */
export interface WorkLimit {
  /** From its begin, after which the process is ended. */
  readonly ms: number;
  /** Of them those at the end in which the engine is said to be unavailable. */
  readonly graceMs: number;
}

export interface ProcessReplied {
  readonly answer: ProcessAnswer;
  /** A buffer of its own. */
  readonly payload: Uint8Array;
  /** Time at work. */
  readonly ms: number;
}

interface Pending {
  readonly limit: WorkLimit;
  readonly resolve: (replied: ProcessReplied) => void;
  readonly reject: (error: unknown) => void;
}

export class EngineProcess {
  usedBytes = 0;
  /** Why it ended. */
  failure: Error | undefined;
  /** False until it has answered for the first time. */
  hasAnswered = false;
  readonly #options: EngineProcessOptions;
  readonly #child: ChildProcess;
  readonly #channel: Socket;
  /** The first is at work, the others wait behind it. */
  readonly #pending: Pending[] = [];
  #begunMs = 0;
  #cancelTimer: () => void = () => undefined;
  readonly #kill = () => void this.#child.kill('SIGKILL');

  constructor(options: EngineProcessOptions) {
    this.#options = options;
    const { engine, main } = options;
    this.#child = spawn(process.execPath, [fileURLToPath(main), JSON.stringify(engine)], {
      // A terminal's signals reach a whole group, this process too while it starts and ignores none yet.
      detached: true,
      // What a library prints must not come between the lines of the log.
      stdio: ['ignore', 2, 2, 'pipe', 'pipe'],
    });
    const [, , , channel, life] = this.#child.stdio;
    if (!(channel instanceof Socket && life instanceof Socket)) throw new Error('the engine has no channel');
    this.#channel = channel;
    const reader = new MessageReader<ProcessReply>((header, payload) => this.#take(header, payload));
    channel.on('data', (chunk) => reader.push(chunk));
    // What fails here is that the process has ended, which is told by its exit.
    for (const socket of [channel, life]) socket.on('error', () => undefined);
    life.unref();
    this.#child.on('error', (error) => this.#end(error, false));
    this.#child.on('exit', (code, signal) =>
      this.#end(new Error(`the engine's process ended with ${signal ?? `code ${code}`}`), false),
    );
    process.on('exit', this.#kill);
    this.#idle();
  }

  get ended(): boolean {
    return this.failure !== undefined;
  }

  /** False while what is at work has used up its time, its grace excepted. */
  get isInTime(): boolean {
    const [head] = this.#pending;
    if (head === undefined) return true;
    return this.#options.clock.now() - this.#begunMs < head.limit.ms - head.limit.graceMs;
  }

  /**
   * @throws EdgewiseError what the engine throws.
   * @throws SessionLostError when the process ended before it answered; for the request at work then, as the culprit.
   */
  call(header: ProcessRequest, payload: readonly Uint8Array[], limit: WorkLimit): Promise<ProcessReplied> {
    if (this.failure !== undefined) return Promise.reject(lost(this.failure, false, false));
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

  #take(reply: ProcessReply, payload: Uint8Array): void {
    if (reply.kind === 'skipped') {
      this.#options.onProviderSkipped?.(reply.provider, receivedError(reply.reason));
      return;
    }
    this.hasAnswered = true;
    this.usedBytes = reply.usedBytes;
    const ms = this.#options.clock.now() - this.#begunMs;
    const head = this.#pending.shift();
    this.#cancelTimer();
    if (this.#pending.length === 0) this.#idle();
    else this.#begin();
    if (reply.kind === 'answer') head?.resolve({ answer: reply.answer, payload, ms });
    else head?.reject(receivedError(reply.error));
  }

  /** The first of what is pending begins. */
  #begin(): void {
    const [head] = this.#pending;
    if (head === undefined) return;
    const { ms } = head.limit;
    this.#begunMs = this.#options.clock.now();
    this.#cancelTimer = this.#options.clock.after(ms, () =>
      this.#end(new Error(`it was at work for ${Math.round(ms)} ms, the longest that it may`), true),
    );
  }

  #idle(): void {
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
    head?.reject(lost(failure, true, isOverdue));
    for (const { reject } of waiting) reject(lost(failure, false, false));
    this.#idle();
    this.#options.onEnd();
  }
}

function lost({ message }: Error, isCulprit: boolean, isOverdue: boolean): SessionLostError {
  return new SessionLostError(message, { isCulprit, isOverdue });
}
