import { env as startEnv } from 'cloudflare:workers';
import { createApp } from './http/app.ts';
import { cloudflareServices } from './platform/cloudflare.ts';
import { probePool } from './platform/cloudflare-pool-health.ts';
import { readConfig } from './platform/config.ts';

export { TransparencyLog } from './storage/durable-object-log.ts';
export { GrantMeter } from './storage/durable-object-meter.ts';

/** Read while the Worker starts, so that one that is not usable fails the deployment and not its callers. */
const config = readConfig({ ...startEnv });

/** One per isolate: sessions, indexes and counters live in it. */
let app: ReturnType<typeof createApp> | undefined;

export default {
  fetch(request, env, context) {
    app ??= createApp(cloudflareServices(env, config));
    return app.fetch(request, env, context);
  },
  scheduled(_controller, env, context) {
    context.waitUntil(probePool(env, config));
  },
} satisfies ExportedHandler<Env>;
