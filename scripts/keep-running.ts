/** Starts a server again that has ended, after a pause that grows while it ends soon after each start. */
import { type Clock, systemClock } from '../src/async/clock.ts';

export interface RunningServer {
  /** How it ended: "with code 1". */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

export interface KeepRunningOptions {
  /** At the start of a sentence: "The origin". */
  readonly name: string;
  /** What it means that the server is not there. */
  readonly meanwhile: string;
  /** The server as it was started first. */
  readonly first: RunningServer;
  /** @throws Error when it does not come up. */
  readonly start: () => Promise<RunningServer>;
  readonly say: (line: string) => void;
  readonly clock?: Clock;
}

const firstPauseMs = 1000;
const longestPauseMs = 60_000;
/** A server that ran this long had started well. */
const goodRunMs = 60_000;

/** Returns the server as one that never ends by itself. */
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
      startAgain(`has ended ${how}`);
    });
  }

  function startAgain(what: string): void {
    if (stopping) return;
    say(`${name} ${what}: it is started again in ${pauseMs / 1000} s; until then, ${meanwhile}.`);
    const cancel = clock.after(pauseMs, () => {
      const starting = start();
      stopCurrent = () => starting.then(({ stop }) => stop()).catch(() => undefined);
      starting.then(watch).catch((error: unknown) => startAgain(`did not start (${firstLine(error)})`));
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
