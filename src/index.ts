import { createApp } from './http/app.ts';
import { cloudflareServices } from './platform/cloudflare.ts';
import { probePool } from './platform/cloudflare-pool-health.ts';

/** One per isolate: sessions, indexes and counters live in it. */
let app: ReturnType<typeof createApp> | undefined;

export default {
  fetch(request, env, context) {
    app ??= createApp(cloudflareServices(env));
    return app.fetch(request, env, context);
  },
  scheduled(_controller, env, context) {
    context.waitUntil(probePool(env));
  },
} satisfies ExportedHandler<Env>;
