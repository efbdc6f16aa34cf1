import { env as startEnv } from 'cloudflare:workers';
import { createApp } from './http/app.ts';
import { cloudflareServices } from './platform/cloudflare.ts';
import { probePool } from './platform/cloudflare-pool-health.ts';
import { readConfig } from './platform/config.ts';
import { importGovernanceKeys } from './platform/governance-config.ts';
import { importPolicyPacks } from './platform/policy-config.ts';

export { TransparencyLog } from './durable-objects/log.ts';
export { GrantMeter } from './durable-objects/meter.ts';

/** Read while the Worker starts, so that an unusable configuration fails the deployment and not its callers. */
const config = readConfig({ ...startEnv });
const keys = {
  keys: await importGovernanceKeys(config.governance),
  packs: await importPolicyPacks(config.policy),
};

/** One app per isolate; it holds sessions, indexes and counters. */
let app: ReturnType<typeof createApp> | undefined;

export default {
  fetch(request, env, context) {
    app ??= createApp(cloudflareServices(env, config, keys));
    return app.fetch(request, env, context);
  },
  scheduled(_controller, env, context) {
    context.waitUntil(probePool(env, config));
  },
} satisfies ExportedHandler<Env>;
