/**
 * Shadow copies: a share of an alias's requests is answered a second time, by another version or in another tier, after
 * the caller has its answer, and the two answers are compared. The caller does not notice: a copy that fails, or finds no
 * room, is only counted. Nothing of a request is kept or logged.
 */
import type { Clock } from '../../async/clock.ts';
import { Lru } from '../../async/lru.ts';
import type { Feeds, Fetches } from '../../engine/types.ts';
import type { ShadowTarget } from '../../protocol/shadow-figures.ts';
import { findShadow } from '../../repository/index/served.ts';
import { defaultAlias } from '../../repository/index/version-policy.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import type { TrafficTarget } from '../../repository/schema.ts';
import type { Tier } from '../../routing/place.ts';
import { ShareSampler } from '../../routing/share-sampler.ts';
import type { Defer } from '../../storage/types.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { ShadowFigures } from '../../telemetry/shadow-figures.ts';
import { estimateBytes } from '../../tensor/bytes.ts';
import { checkFeeds } from '../../tensor/check.ts';
import { measureAgreement } from '../../tensor/compare.ts';
import { toHttpError } from '../error-response.ts';

/** A copy that has not come back by then died with the request that it was deferred to. */
const patienceMs = 60_000;
/** Targets are named by an admin, so there are few; this limits how many former ones stay in memory. */
const maxSamplers = 256;

/** A request that was answered. */
export interface Answered {
  readonly model: ResolvedModel;
  /** The alias or version in the request's path; undefined stands for `stable`. A version has no shadow. */
  readonly alias: string | undefined;
  readonly tier: Tier;
  /** May be views of the request's body: they are only read. */
  readonly feeds: Feeds;
  readonly outputs: Fetches;
  readonly requestId: string;
  /** The jurisdiction that the request and its copy are bound to. */
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
  /** Computes all outputs in `tier`, or in the tier that placement chooses, within the jurisdiction of the request. */
  readonly run: (
    model: ResolvedModel,
    tier: Tier | undefined,
    feeds: Feeds,
    answered: Answered,
  ) => Promise<Fetches>;
  /** Reports whether this isolate has time for a copy now. */
  readonly mayRun: () => boolean;
  /** Default 2. */
  readonly maxInFlight?: number;
  /** Most bytes of feeds and outputs that the copies under way hold together. Default 8 MiB. */
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

  /** Called after every answer; sends a copy if the alias has a shadow. Never throws. */
  after(answered: Answered): void {
    const { index, manifest } = answered.model;
    if (index.shadows === undefined) return;
    const alias = answered.alias ?? defaultAlias;
    const shadow = findShadow(index, alias);
    if (shadow === undefined || isFromTarget(answered, shadow)) return;
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
      // A run blocks the isolate's one thread, so the answer leaves first.
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

/** Reports whether the target itself gave the answer: a copy would be compared with itself. */
function isFromTarget({ model, tier }: Answered, target: TrafficTarget): boolean {
  return model.manifest.version === target.version && (target.tier ?? tier) === tier;
}
