/** A session went away in the middle: the process that held it ended, by this run or by another one. */
export class SessionLostError extends Error {
  override readonly name = 'SessionLostError';
  /** `true`: this run, or this load, is why. `false`: it was not begun, and may be made again over a new session. */
  readonly isCulprit: boolean;
  /** Whether it was ended from outside, because it took longer than it may. */
  readonly isOverdue: boolean;

  constructor(message: string, options: { readonly isCulprit: boolean; readonly isOverdue: boolean }) {
    super(message);
    this.isCulprit = options.isCulprit;
    this.isOverdue = options.isOverdue;
  }
}
