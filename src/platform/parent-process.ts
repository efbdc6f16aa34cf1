/** Detects that the parent process is gone without a signal to this one: killed, crashed, its terminal closed. */

const everyMs = 500;

/**
 * Calls `whenGone` once `parent` is no longer the parent of this process. Does not keep the process alive.
 * @param parent The process that started this one, if the caller knows it: it may be gone before this is called.
 */
export function watchParent(whenGone: () => void, parent = process.ppid): void {
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    whenGone();
  }, everyMs);
  timer.unref();
}

/** Reports whether a package manager runs this process as a script: it then expects this process to end with it. */
export function isPackageScript(env: Readonly<Record<string, string | undefined>> = process.env): boolean {
  return env['npm_lifecycle_event'] !== undefined;
}

/** Keeps this process running when the reader of its output is gone. */
export function ignoreClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}
