/** Restarts a server that has ended, after a pause that doubles while the server keeps ending soon after its start. */
import { type Clock, systemClock } from '../src/async/clock.ts';

export interface RunningServer {
  /** How it ended: "with code 1". */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

export interface KeepRunningOptions {
  /** Name of the server at the start of a sentence, e.g. "The origin". */
  readonly name: string;
  /** Consequence of the server's absence, for the message. */
  readonly meanwhile: string;
  /** The server that already runs. */
  readonly first: RunningServer;
  /** @throws Error if the server does not start. */
  readonly start: () => Promise<RunningServer>;
  readonly say: (line: string) => void;
  readonly clock?: Clock;
}

const firstPauseMs = 1000;
const longestPauseMs = 60_000;
/** A server that ran this long counts as started successfully; the pause is reset. */
const goodRunMs = 60_000;

/** Keeps the server running until `stop` is called. */
export function keepRunning(options: KeepRunningOptions): { stop(): Promise<void> } {
  const { name, meanwhile, start, say, clock = systemClock } = options;
  let stopping = false;
  let pauseMs = firstPauseMs;
  let stopCurrent = options.first.stop;

  function watch({ ended, stop }: RunningServer): void {
    const sinceMs = clock.now();
    stopCurrent = stop;
    void ended.then((how) => {
      if (clock.now() - sinceMs >= goodRunMs) pauseMs = firstPauseMs;
      restart(`has ended ${how}`);
    });
  }

  function restart(what: string): void {
    if (stopping) return;
    say(`${name} ${what}; restart in ${pauseMs / 1000} s. Until then, ${meanwhile}.`);
    const cancel = clock.after(pauseMs, () => {
      const starting = start();
      stopCurrent = () => starting.then(({ stop }) => stop()).catch(() => undefined);
      starting.then(watch).catch((error: unknown) => restart(`did not start (${firstLine(error)})`));
    });
    stopCurrent = async () => cancel();
    pauseMs = Math.min(2 * pauseMs, longestPauseMs);
  }

  watch(options.first);
  return {
    stop() {
      stopping = true;
      return stopCurrent();
    },
  };
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';
}
