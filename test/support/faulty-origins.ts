/** Origins in processes of their own with switchable faults, for `bench/faults.ts` and test/service/faults.test.ts. */
import { type ChildProcess, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { findFreePort, root } from '../../scripts/dev-server.ts';
import { generateCallerKey } from '../../scripts/origin-server.ts';
import type { Command, Fault, Message, Received } from './faulty-origin.ts';
import { publisherKey, trustedPublishers } from './publisher.ts';

export interface FaultyOriginOptions {
  /** Name of the endpoint in the pool. */
  readonly name: string;
  /** Folder of the published models; several origins may share it. */
  readonly repository: string;
  /** Median time of a run. */
  readonly serviceMs: number;
  readonly vars?: Readonly<Record<string, string>>;
}

const startTimeoutMs = 60_000;

export class FaultyOrigin {
  readonly name: string;
  readonly url: string;
  readonly key: string;
  readonly adminKey: string;
  /** Key of the publisher whose models it accepts, for `pushModel`. */
  readonly publisherKey = publisherKey;
  readonly #environment: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;
  /** Counts of processes that have ended. */
  #receivedBefore = 0;
  #leftEarlyBefore = 0;

  private constructor({ name, repository, serviceMs, vars }: FaultyOriginOptions, port: number) {
    this.name = name;
    this.url = `http://127.0.0.1:${port}`;
    this.key = generateCallerKey();
    this.adminKey = generateCallerKey().replace('ew_', 'ewa_');
    const { PATH } = process.env;
    this.#environment = {
      PATH,
      EDGEWISE_PORT: String(port),
      EDGEWISE_REPOSITORY_DIR: repository,
      EDGEWISE_EXECUTION_PROVIDERS: 'cpu',
      EDGEWISE_THREADS: '1',
      EDGEWISE_CALLER_KEYS_SHA256: sha256(this.key),
      EDGEWISE_ADMIN_KEY_SHA256: sha256(this.adminKey),
      EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
      FAULTY_ORIGIN_SERVICE_MS: String(serviceMs),
      ...vars,
    };
  }

  static async start(options: FaultyOriginOptions): Promise<FaultyOrigin> {
    const origin = new FaultyOrigin(options, await findFreePort());
    await origin.restart();
    return origin;
  }

  /** Restarts the origin at the same address, without a fault. Resolves when it answers. @throws Error if it does not. */
  async restart(): Promise<void> {
    const child = fork(join(import.meta.dirname, 'faulty-origin.ts'), {
      cwd: root,
      env: this.#environment,
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child = child;
    await reply(child, (message) => 'listening' in message);
  }

  send(fault: Fault): void {
    const command: Command = { fault };
    this.#child?.send(command);
  }

  /** Kills the process like a crash. Its counts are read before, so they miss the last moments. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const { received, leftEarly } = await this.received();
    this.#receivedBefore = received;
    this.#leftEarlyBefore = leftEarly;
    this.#child = undefined;
    await waitForEnd(child, 'SIGKILL');
  }

  async received(): Promise<Received> {
    const child = this.#child;
    if (child === undefined) return { received: this.#receivedBefore, leftEarly: this.#leftEarlyBefore };
    const command: Command = { report: true };
    child.send(command);
    const now = await reply(child, (message) => 'received' in message);
    if (!('received' in now)) throw new Error(`${this.name} reported no count`);
    return {
      received: this.#receivedBefore + now.received,
      leftEarly: this.#leftEarlyBefore + now.leftEarly,
    };
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined) await waitForEnd(child, 'SIGKILL');
  }
}

/** Returns the configuration and secrets of a worker with these origins as its pool. */
export function poolOf(
  origins: readonly FaultyOrigin[],
  timeoutMs: number,
): { readonly vars: Record<string, string>; readonly secrets: Record<string, string> } {
  const secretName = (at: number) => `EDGEWISE_ORIGIN_KEY_${at}`;
  const endpoints = origins.map(({ name, url }, at) => ({
    name,
    url,
    timeoutMs,
    auth: { bearerSecret: secretName(at) },
  }));
  return {
    vars: { EDGEWISE_ORIGIN_POOL: JSON.stringify(endpoints) },
    secrets: Object.fromEntries(origins.map(({ key }, at) => [secretName(at), key])),
  };
}

async function reply(child: ChildProcess, isWanted: (message: Message) => boolean): Promise<Message> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(
      () => settle(() => reject(new Error('an origin does not reply'))),
      startTimeoutMs,
    );
    const onMessage = (message: Message) => {
      if (isWanted(message)) settle(() => resolve(message));
    };
    const onExit = (code: number | null) => settle(() => reject(new Error(`an origin ended with ${code}`)));
    const settle = (act: () => void) => {
      clearTimeout(late);
      child.off('message', onMessage);
      child.off('exit', onExit);
      act();
    };
    child.on('message', onMessage);
    child.once('exit', onExit);
  });
}

async function waitForEnd(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  await exit;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
