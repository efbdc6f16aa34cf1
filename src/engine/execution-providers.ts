/** Finds the configured execution providers that a machine has, and those that a model runs on. Knows no runtime. */
import { EdgewiseError } from '../errors.ts';

/** Called with the reason for each skipped provider: once for the engine's life, or for one model. */
export type OnProviderSkipped = (provider: string, reason: Error) => void;

export interface ProviderChainOptions {
  /** In order of preference. */
  readonly configured: readonly string[];
  /** True if `cpu` is the last resort when it is not configured by name. */
  readonly cpuFallback: boolean;
  /** Computes a small graph with this provider alone; rejects if this machine cannot. */
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
   * Returns the configured providers that this machine has, in order of preference. Each is probed once, with a graph that
   * is known to be valid: a model that fails says nothing certain about the provider. `cpu` is always available.
   *
   * @throws EdgewiseError `internal` if there is none; its cause has the reason for each provider.
   */
  usable(): Promise<readonly string[]> {
    this.#usable ??= this.#findUsable();
    return this.#usable;
  }

  async #findUsable(): Promise<readonly string[]> {
    const { configured, cpuFallback, probe, onSkipped } = this.#options;
    const usable: string[] = [];
    const reasons: string[] = [];
    for (const provider of new Set(cpuFallback ? [...configured, 'cpu'] : configured)) {
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
    throw new EdgewiseError(
      'internal',
      'none of the configured execution providers is usable on this machine',
      {
        cause: new Error(reasons.length === 0 ? 'none is configured' : reasons.join('; ')),
      },
    );
  }

  /**
   * Creates a session with all usable providers. If that fails, leaves out the first one for this model and tries again,
   * and so on. The last provider's error is thrown, since it is the one about the model itself.
   *
   * @param isFinal Reports whether a failure must not be retried with the remaining providers.
   */
  async create<S>(
    make: (providers: readonly string[]) => Promise<S>,
    isFinal: (error: unknown) => boolean,
  ): Promise<S> {
    return this.#createWith(await this.usable(), make, isFinal);
  }

  async #createWith<S>(
    providers: readonly string[],
    make: (providers: readonly string[]) => Promise<S>,
    isFinal: (error: unknown) => boolean,
  ): Promise<S> {
    try {
      return await make(providers);
    } catch (error) {
      const [first, ...rest] = providers;
      if (first === undefined || rest.length === 0 || isFinal(error)) throw error;
      const made = await this.#createWith(rest, make, isFinal);
      const text = `a model could not be loaded with this provider and runs on ${rest.join(', ')}`;
      this.#options.onSkipped?.(first, new Error(text, { cause: error }));
      return made;
    }
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
