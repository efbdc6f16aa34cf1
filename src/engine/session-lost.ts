/** A session disappeared during a load or run: the process that held it ended. */
export class SessionLostError extends Error {
  override readonly name = 'SessionLostError';
  /** `true`: this run or load ended the process. `false`: it had not begun, and may be repeated on a new session. */
  readonly isCulprit: boolean;
  /** True if the process was killed because the run or load exceeded its time limit. */
  readonly isOverdue: boolean;

  constructor(message: string, options: { readonly isCulprit: boolean; readonly isOverdue: boolean }) {
    super(message);
    this.isCulprit = options.isCulprit;
    this.isOverdue = options.isOverdue;
  }
}

/** How often a request or load starts over because another one ended the engine. */
export const maxSessionLosses = 3;
