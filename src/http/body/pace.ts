/** The least pace of an upload, so that a caller that sends too slowly, or stops, does not hold memory for ever. */
import type { Clock } from '../../async/clock.ts';
import { EdgewiseError } from '../../errors.ts';

export interface Pace {
  /** In each window of this length at least `minBytesPerSecond` × the window has to arrive. */
  readonly windowMs: number;
  readonly minBytesPerSecond: number;
}

export interface PaceWatch {
  /** Counts bytes that have arrived. */
  add(bytes: number): void;
  end(): void;
}

export interface PaceOptions {
  readonly clock: Clock;
  readonly pace: Pace;
  /** Called at the end of each window in which enough bytes arrived. */
  readonly onWindow?: () => void;
  /** Called once, at the end of the first window in which too few bytes arrived. */
  readonly onSlow: (error: EdgewiseError) => void;
}

/** Watches one upload until it ends or is too slow. */
export function watchPace({ clock, pace, onWindow, onSlow }: PaceOptions): PaceWatch {
  const minBytes = (pace.minBytesPerSecond * pace.windowMs) / 1000;
  let arrived = 0;
  let cancelTimer = clock.after(pace.windowMs, check);
  function check(): void {
    if (arrived < minBytes) {
      onSlow(tooSlow(pace));
      return;
    }
    arrived = 0;
    onWindow?.();
    cancelTimer = clock.after(pace.windowMs, check);
  }
  return {
    add(bytes) {
      arrived += bytes;
    },
    end() {
      cancelTimer();
    },
  };
}

/** Returns the longest time of an upload of `byteLength` bytes at the least pace, plus one window for its beginning. */
export function longestUploadMs({ windowMs, minBytesPerSecond }: Pace, byteLength: number): number {
  return windowMs + (byteLength * 1000) / minBytesPerSecond;
}

export function tooSlow({ minBytesPerSecond, windowMs }: Pace): EdgewiseError {
  return new EdgewiseError(
    'body_timeout',
    `the body came too slowly or stopped: expected at least ${minBytesPerSecond} bytes a second over ${windowMs} ms (EDGEWISE_MIN_UPLOAD_KIB_PER_SECOND, EDGEWISE_UPLOAD_GRACE_MS)`,
  );
}
