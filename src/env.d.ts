/** Bindings and variables of wrangler.toml. Values are checked once, in `platform/config.ts`. */
declare namespace Cloudflare {
  interface Env {
    readonly MODELS: R2Bucket;
    readonly BLOBS: KVNamespace;
    readonly RECORDS: R2Bucket;
    readonly LOG: DurableObjectNamespace<import('./storage/durable-object-log.ts').TransparencyLog>;
    readonly METERS: DurableObjectNamespace<import('./storage/durable-object-meter.ts').GrantMeter>;
    readonly RATE_10_SECONDS?: RateLimit;
    readonly RATE_60_SECONDS?: RateLimit;
    readonly [name: `EDGEWISE_${string}`]: string | undefined;
  }
}
interface Env extends Cloudflare.Env {}
