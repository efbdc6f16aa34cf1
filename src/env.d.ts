/** Bindings and variables of wrangler.toml. `platform/config.ts` checks the values once. */
declare namespace Cloudflare {
  interface Env {
    readonly MODELS: R2Bucket;
    readonly BLOBS: KVNamespace;
    readonly RECORDS: R2Bucket;
    readonly LOG: DurableObjectNamespace<import('./durable-objects/log.ts').TransparencyLog>;
    readonly METERS: DurableObjectNamespace<import('./durable-objects/meter.ts').GrantMeter>;
    readonly RATE_10_SECONDS?: RateLimit;
    readonly RATE_60_SECONDS?: RateLimit;
    readonly [name: `EDGEWISE_${string}`]: string | undefined;
  }
}
interface Env extends Cloudflare.Env {}
