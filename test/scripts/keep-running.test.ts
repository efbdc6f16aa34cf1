import { describe, expect, it, vi } from 'vitest';
import { keepRunning, type RunningServer } from '../../scripts/keep-running.ts';
import { ManualClock } from '../support/clock.ts';

interface Started extends RunningServer {
  readonly stop: () => Promise<void>;
  end(how: string): void;
}

function createServer(): Started {
  const { promise: ended, resolve: end } = Promise.withResolvers<string>();
  return { ended, end, stop: vi.fn(async () => undefined) };
}

function startKept() {
  const clock = new ManualClock();
  const lines: string[] = [];
  const servers = [createServer()];
  const start = vi.fn(async (): Promise<RunningServer> => {
    const next = createServer();
    servers.push(next);
    return next;
  });
  const [first = createServer()] = servers;
  const options = { name: 'The origin', meanwhile: 'nothing answers', first, start, clock };
  const running = keepRunning({ ...options, say: (line) => lines.push(line) });
  const last = () => servers.at(-1) ?? first;
  /** Waits until all settled promises are handled. */
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { clock, lines, servers, start, running, last, settle };
}

describe('keepRunning', () => {
  it('restarts a server that has ended, after pauses that grow to a minute', async () => {
    const { clock, lines, start, last, settle } = startKept();
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      last().end('by SIGKILL');
      await settle();
      const starts = start.mock.calls.length;
      expect(lines.at(-1)).toBe(
        `The origin has ended by SIGKILL; restart in ${seconds} s. Until then, nothing answers.`,
      );
      clock.advance(seconds * 1000 - 1);
      expect(start).toHaveBeenCalledTimes(starts);
      clock.advance(1);
      expect(start).toHaveBeenCalledTimes(starts + 1);
      await settle();
    }
  });

  it('starts with the short pause again after a run of a minute', async () => {
    const { clock, lines, last, settle } = startKept();
    for (const runMs of [0, 0, 60_000]) {
      clock.advance(runMs);
      last().end('with code 1');
      await settle();
      clock.advance(60_000);
      await settle();
    }
    expect(lines.map((line) => / in (\d+) s/.exec(line)?.[1])).toEqual(['1', '2', '1']);
  });

  it('retries a failed start, and reports the first line of the reason', async () => {
    const { clock, lines, start, last, settle } = startKept();
    start.mockRejectedValueOnce(new Error('no port\nand more'));
    last().end('with code 1');
    await settle();
    clock.advance(1000);
    await settle();
    expect(lines.at(-1)).toMatch(/^The origin did not start \(no port\); restart in 2 s/);
    clock.advance(2000);
    expect(start).toHaveBeenCalledTimes(2);
  });

  it('stops the running server, and does not start another', async () => {
    const { clock, start, last, running, settle } = startKept();
    last().end('with code 1');
    await settle();
    clock.advance(1000);
    await settle();
    await running.stop();
    expect(last().stop).toHaveBeenCalledOnce();
    last().end('with code 0');
    await settle();
    expect(clock.pending).toBe(0);
    expect(start).toHaveBeenCalledOnce();
  });

  it('starts no server when stopped in the pause, and stops a server that is starting', async () => {
    const inPause = startKept();
    inPause.last().end('with code 1');
    await inPause.settle();
    await inPause.running.stop();
    inPause.clock.advance(60_000);
    expect(inPause.start).not.toHaveBeenCalled();

    const starting = startKept();
    starting.last().end('with code 1');
    await starting.settle();
    starting.clock.advance(1000);
    await starting.running.stop();
    expect(starting.servers).toHaveLength(2);
    expect(starting.last().stop).toHaveBeenCalled();
  });
});
