/** Bindings and variables of wrangler.toml. Values are checked once, in `platform/config.ts`. */
declare namespace Cloudflare {
  interface Env {
    readonly MODELS: R2Bucket;
    readonly BLOBS: KVNamespace;
    readonly [name: `EDGEWISE_${string}`]: string | undefined;
  }
}
interface Env extends Cloudflare.Env {}
