/**
 * Shadow copies: a share of an alias's requests is answered once more by another version or in another tier, after the
 * caller has its answer, and the two answers are compared. The caller notices nothing of it: a copy that fails, or for
 * which there is no room, is a figure. Nothing of a request is kept or logged.
 */
import type { Clock } from '../../async/clock.ts';
import { Lru } from '../../async/lru.ts';
import type { Feeds, Fetches } from '../../engine/types.ts';
import { findShadow } from '../../repository/index/served.ts';
import { defaultAlias } from '../../repository/index/version-policy.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import type { TrafficTarget } from '../../repository/schema.ts';
import type { Tier } from '../../routing/place.ts';
import { ShareSampler } from '../../routing/share-sampler.ts';
import type { Defer } from '../../storage/types.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { ShadowFigures, ShadowTarget } from '../../telemetry/shadow-figures.ts';
import { estimateBytes } from '../../tensor/bytes.ts';
import { checkFeeds } from '../../tensor/check.ts';
import { measureAgreement } from '../../tensor/compare.ts';
import { toHttpError } from '../error-response.ts';

/** A copy that is not back by then has died with the request that it was deferred to. */
const patienceMs = 60_000;
/** Admins name targets, so they are few; this bounds what is kept of those from before. */
const maxSamplers = 256;

/** A request that was answered. */
export interface Answered {
  readonly model: ResolvedModel;
  /** As in the request's path; a version's number has no shadow, nothing stands for `stable`. */
  readonly alias: string | undefined;
  readonly tier: Tier;
  /** Views of the request's body will do: nobody writes to them. */
  readonly feeds: Feeds;
  readonly outputs: Fetches;
  readonly requestId: string;
  /** What the request is bound to; its copy is, too. */
  readonly jurisdiction?: string | undefined;
}

export interface ShadowsOptions {
  readonly clock: Clock;
  /** 0 to 1, 1 itself excluded. */
  readonly random: () => number;
  readonly defer: Defer;
  readonly logger: Logger;
  readonly figures: ShadowFigures;
  readonly resolve: (name: string, version: string) => ResolvedModel | Promise<ResolvedModel>;
  /** All outputs of one inference, in `tier` or wherever placement has it run; within the bonds of what was answered. */
  readonly run: (
    model: ResolvedModel,
    tier: Tier | undefined,
    feeds: Feeds,
    answered: Answered,
  ) => Promise<Fetches>;
  /** Whether this isolate has time for a copy now. */
  readonly mayRun: () => boolean;
  /** Default 2. */
  readonly maxInFlight?: number;
  /** Of the feeds and outputs that copies under way hold together. Default 8 MiB. */
  readonly maxHeldBytes?: number;
}

interface Copy {
  readonly target: ShadowTarget;
  readonly beganAt: number;
  readonly bytes: number;
}

export class Shadows {
  readonly figures: ShadowFigures;
  readonly #options: Required<ShadowsOptions>;
  readonly #samplers = new Lru<string, ShareSampler>({ maxBytes: maxSamplers });
  readonly #inFlight = new Set<Copy>();

  constructor(options: ShadowsOptions) {
    this.figures = options.figures;
    this.#options = { maxInFlight: 2, maxHeldBytes: 8 * 1024 * 1024, ...options };
  }

  /** To be told of every request that was answered. Costs nothing where the model has no shadow. Never throws. */
  after(answered: Answered): void {
    const { index, manifest } = answered.model;
    if (index.shadows === undefined) return;
    const alias = answered.alias ?? defaultAlias;
    const shadow = findShadow(index, alias);
    if (shadow === undefined || isOf(answered, shadow)) return;
    const { version, tier, percent } = shadow;
    const target = { model: manifest.name, alias, version, ...(tier && { tier }) };
    if (!this.#samplerOf(target).pick(percent / 100)) return;
    const bytes = estimateBytes(answered.feeds) + estimateBytes(answered.outputs);
    if (!this.#hasRoom(bytes)) {
      this.figures.countSkipped(target);
      return;
    }
    const copy: Copy = { target, beganAt: this.#options.clock.now(), bytes };
    this.#inFlight.add(copy);
    this.figures.countSent(target);
    this.#options.defer(this.#send(copy, answered));
  }

  #samplerOf({ model, alias }: ShadowTarget): ShareSampler {
    const key = `${model} ${alias}`;
    const known = this.#samplers.get(key);
    if (known !== undefined) return known;
    const sampler = new ShareSampler(this.#options.random);
    this.#samplers.set(key, sampler, 1);
    return sampler;
  }

  #hasRoom(bytes: number): boolean {
    const { clock, maxHeldBytes, maxInFlight, mayRun } = this.#options;
    let held = bytes;
    for (const copy of this.#inFlight) {
      if (clock.now() - copy.beganAt < patienceMs) held += copy.bytes;
      else if (this.#inFlight.delete(copy)) this.figures.countFailed(copy.target);
    }
    return this.#inFlight.size < maxInFlight && held <= maxHeldBytes && mayRun();
  }

  async #send(copy: Copy, answered: Answered): Promise<void> {
    const { clock, logger, resolve, run } = this.#options;
    const { model, version, tier } = copy.target;
    try {
      // A run takes the isolate's one thread: the answer leaves first.
      await new Promise<void>((wake) => clock.after(0, wake));
      const shadow = await resolve(model, version);
      checkFeeds(answered.feeds, shadow.manifest.inputs, shadow.manifest);
      const outputs = await run(shadow, tier, answered.feeds, answered);
      if (!this.#inFlight.delete(copy)) return;
      const agreed = measureAgreement(answered.outputs, outputs);
      if (agreed === undefined) this.figures.countUnlike(copy.target);
      else this.figures.addComparison(copy.target, agreed);
    } catch (error) {
      if (!this.#inFlight.delete(copy)) return;
      this.figures.countFailed(copy.target);
      const { code, status } = toHttpError(error);
      logger.write({
        level: 'info',
        event: 'shadow_failed',
        requestId: answered.requestId,
        model,
        version,
        tier,
        code,
        // Refusals quote the request.
        cause: status >= 500 ? error : undefined,
      });
    }
  }
}

/** Whether the answer is of the target itself: a copy would be compared with its like. */
function isOf({ model, tier }: Answered, target: TrafficTarget): boolean {
  return model.manifest.version === target.version && (target.tier ?? tier) === tier;
}
