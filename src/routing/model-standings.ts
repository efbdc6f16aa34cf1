/** How the models do at one endpoint. A model that keeps failing there is kept from the endpoint, and others are not. */
import { Lru } from '../async/lru.ts';
import { EndpointHealth, type HealthChange, type HealthTicket } from './endpoint-health.ts';
import type { AttemptOutcome, LeaseEnd } from './types.ts';

/** Models that failed at an endpoint; beyond, the one that was asked for least recently is forgotten. */
const maxStandings = 64;

export interface StandingSnapshot {
  /** `name`, or `name@version`. */
  readonly model: string;
  readonly state: 'suspect' | 'ejected';
  readonly outForMs: number;
}

export class ModelStandings {
  /** A model has an entry from its first failure. */
  readonly #standings = new Lru<string, EndpointHealth>({ maxBytes: maxStandings });

  /** Undefined while the model has not failed here. */
  of(model: string): EndpointHealth | undefined {
    return this.#standings.peek(model);
  }

  begin(model: string, nowMs: number): HealthTicket | undefined {
    return this.#standings.get(model)?.begin(nowMs);
  }

  /** @returns the change of the model's standing that it led to. */
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

  /** Those that are out. */
  snapshot(nowMs: number): readonly StandingSnapshot[] {
    return [...this.#standings].flatMap(([model, standing]) => {
      const { state } = standing;
      return state === 'healthy' ? [] : [{ model, state, outForMs: standing.outForMs(nowMs) }];
    });
  }
}

/** A request that is wrong says nothing of the model, and neither does an endpoint that fails. */
function outcomeOfModel({ outcome, answered }: LeaseEnd): AttemptOutcome {
  if (outcome === 'model-failure') return 'failure';
  return outcome === 'success' && answered === true ? 'success' : 'abandoned';
}
