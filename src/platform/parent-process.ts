/** Notices that the process which started this one is gone without having said so: killed, crashed, its terminal closed. */

const everyMs = 500;

/**
 * Calls `whenGone` once `parent` is no longer the parent of this process. Holds no process open.
 * @param parent The process that started this one, as it knows itself: it may be gone before this is called.
 */
export function watchParent(whenGone: () => void, parent = process.ppid): void {
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    whenGone();
  }, everyMs);
  timer.unref();
}

/** Reports whether a package manager runs this process as a script, and so takes it for gone when it goes itself. */
export function isPackageScript(env: Readonly<Record<string, string | undefined>> = process.env): boolean {
  return env['npm_lifecycle_event'] !== undefined;
}

/** Lets this process outlive those who read its output. */
export function ignoreClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}
