/** The health of each model at one endpoint. A model that keeps failing is kept out of the endpoint; other models are not. */
import { Lru } from '../async/lru.ts';
import { EndpointHealth, type HealthChange, type HealthTicket } from './endpoint-health.ts';
import type { AttemptOutcome, LeaseEnd } from './types.ts';

/** Most models that are remembered as failed at an endpoint; the least recently requested one is forgotten first. */
const maxStandings = 64;

export interface StandingSnapshot {
  /** `name`, or `name@version`. */
  readonly model: string;
  readonly state: 'suspect' | 'ejected';
  readonly outForMs: number;
}

export class ModelStandings {
  /** A model has an entry from its first failure on. */
  readonly #standings = new Lru<string, EndpointHealth>({ maxBytes: maxStandings });

  /** Returns the model's health; undefined if the model has not failed here. */
  of(model: string): EndpointHealth | undefined {
    return this.#standings.peek(model);
  }

  begin(model: string, nowMs: number): HealthTicket | undefined {
    return this.#standings.get(model)?.begin(nowMs);
  }

  /** Records the end of an attempt. @returns the change of the model's health that it caused. */
  end(
    model: string,
    ticket: HealthTicket | undefined,
    end: LeaseEnd & { readonly nowMs: number; readonly mayEject: () => boolean },
  ): HealthChange | undefined {
    const outcome = outcomeOfModel(end);
    const { nowMs, reason, mayEject } = end;
    let standing = this.#standings.peek(model);
    if (standing === undefined) {
      if (outcome !== 'failure') return undefined;
      standing = new EndpointHealth();
      this.#standings.set(model, standing, 1);
    }
    return standing.end(ticket ?? standing.begin(nowMs), { outcome, nowMs, reason, mayEject });
  }

  /** Returns the models that are not healthy here. */
  snapshot(nowMs: number): readonly StandingSnapshot[] {
    return [...this.#standings].flatMap(([model, standing]) => {
      const { state } = standing;
      return state === 'healthy' ? [] : [{ model, state, outForMs: standing.outForMs(nowMs) }];
    });
  }
}

/** An invalid request says nothing about the model, and neither does an endpoint that fails. */
function outcomeOfModel({ outcome, answered }: LeaseEnd): AttemptOutcome {
  if (outcome === 'model-failure') return 'failure';
  return outcome === 'success' && answered === true ? 'success' : 'abandoned';
}
