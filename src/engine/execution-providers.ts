/** Which of the wanted execution providers a machine has, and which of them a model runs on. Knows no runtime. */
import { EdgewiseError } from '../errors.ts';

/** Called for each provider that is left out, with the reason: once for the engine's life, or for one model. */
export type OnProviderSkipped = (provider: string, reason: Error) => void;

export interface ProviderChainOptions {
  /** In the order of preference. */
  readonly wanted: readonly string[];
  /** Whether `cpu` is the last resort where it is not wanted by name. */
  readonly cpuFallback: boolean;
  /** Computes something small with this provider alone; rejects where this machine cannot. */
  readonly probe: (provider: string) => Promise<void>;
  readonly onSkipped?: OnProviderSkipped | undefined;
}

export class ProviderChain {
  readonly #options: ProviderChainOptions;
  #usable: Promise<readonly string[]> | undefined;

  constructor(options: ProviderChainOptions) {
    this.#options = options;
  }

  /**
   * The wanted providers that this machine has, in their order. Found out once: a model that fails says nothing certain
   * about the provider, so each is tried with something that cannot be at fault. `cpu` is always there.
   *
   * @throws EdgewiseError `internal` when there is none, with the reason of each in its cause.
   */
  usable(): Promise<readonly string[]> {
    this.#usable ??= this.#findUsable();
    return this.#usable;
  }

  async #findUsable(): Promise<readonly string[]> {
    const { wanted, cpuFallback, probe, onSkipped } = this.#options;
    const usable: string[] = [];
    const reasons: string[] = [];
    for (const provider of new Set(cpuFallback ? [...wanted, 'cpu'] : wanted)) {
      try {
        if (provider !== 'cpu') await probe(provider);
        usable.push(provider);
      } catch (error) {
        const reason = asError(error);
        reasons.push(`${provider}: ${reason.message}`);
        onSkipped?.(provider, reason);
      }
    }
    if (usable.length > 0) return usable;
    throw new EdgewiseError('internal', 'none of the configured execution providers can be used here', {
      cause: new Error(reasons.length === 0 ? 'none is configured' : reasons.join('; ')),
    });
  }

  /**
   * Makes a session with all that is usable. Where that fails it leaves out the first, for this model alone, and so on.
   * What the last one throws is the truth about the model, and the failures before it are then of no interest.
   *
   * @param ends Whether a failure is not to be tried with the rest.
   */
  async create<S>(
    make: (providers: readonly string[]) => Promise<S>,
    ends: (error: unknown) => boolean,
  ): Promise<S> {
    return this.#createWith(await this.usable(), make, ends);
  }

  async #createWith<S>(
    providers: readonly string[],
    make: (providers: readonly string[]) => Promise<S>,
    ends: (error: unknown) => boolean,
  ): Promise<S> {
    try {
      return await make(providers);
    } catch (error) {
      const [first, ...rest] = providers;
      if (first === undefined || rest.length === 0 || ends(error)) throw error;
      const made = await this.#createWith(rest, make, ends);
      const text = `a model could not be loaded with it, and runs on ${rest.join(', ')}`;
      this.#options.onSkipped?.(first, new Error(text, { cause: error }));
      return made;
    }
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
