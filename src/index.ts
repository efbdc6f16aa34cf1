import { createApp } from './http/app.ts';
import { cloudflareServices } from './platform/cloudflare.ts';

/** One per isolate: sessions, indexes and counters live in it. */
let app: ReturnType<typeof createApp> | undefined;

export default {
  fetch(request, env, context) {
    app ??= createApp(cloudflareServices(env));
    return app.fetch(request, env, context);
  },
} satisfies ExportedHandler<Env>;
