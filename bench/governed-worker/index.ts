/** Edgewise with as much of its governance as `BENCH_PARTS` says, and a route that fills the log. */
import { env as startEnv } from 'cloudflare:workers';
import { encodeEntry } from '../../src/governance/log/entry.ts';
import { createApp } from '../../src/http/app.ts';
import type { Governance } from '../../src/http/record/governance.ts';
import type { Services } from '../../src/http/services.ts';
import { cloudflareServices } from '../../src/platform/cloudflare.ts';
import { readConfig } from '../../src/platform/config.ts';
import { importGovernanceKeys } from '../../src/platform/governance-config.ts';

export { TransparencyLog } from '../../src/durable-objects/log.ts';
export { GrantMeter } from '../../src/durable-objects/meter.ts';

const config = readConfig({ ...startEnv });
const keys = { keys: await importGovernanceKeys(config.governance), packs: [] };
const parts = Reflect.get(startEnv, 'BENCH_PARTS');

let services: Services | undefined;
let app: ReturnType<typeof createApp> | undefined;

function reduced(whole: Services): Services {
  if (whole.governance === undefined || parts === 'all') return whole;
  const governance = unrecorded(whole.governance);
  return { ...whole, governance: parts === 'gate' ? withoutReceipts(governance) : governance };
}

/** Gate and receipt, and nothing after the answer. */
function unrecorded(governance: Governance): Governance {
  return {
    ...governance,
    defer: () => undefined,
    appender: { add: () => Promise.resolve(), hasRoom: () => true, flush: () => Promise.resolve() },
    vault: Object.assign(Object.create(governance.vault), { sealer: () => undefined }),
  };
}

/** What an edge cannot do without: the decision. Its receipt is always the same one. */
function withoutReceipts(governance: Governance): Governance {
  const empty = { receiptHash: new Uint8Array(32), meterTag: new Uint8Array(16), units: 0 };
  const entry = () => Promise.resolve(empty);
  const id = '01a20d3c-1430-73b3-90fa-54c08a8b18fb';
  const issued = { id, caller: {}, compact: '', salt: undefined, entry };
  return { ...governance, issuer: { ...governance.issuer, inference: () => Promise.resolve(issued) } };
}

/** Appends receipts that differ, `batch` at a time and four batches at once, as busy isolates do. */
async function fill(log: Governance['receipts'], count: number, batch: number): Promise<void> {
  let begun = 0;
  const worker = async () => {
    while (begun < count) {
      begun += batch;
      await log.append(
        Array.from({ length: batch }, () => ({
          id: crypto.randomUUID(),
          entry: encodeEntry({
            receiptHash: crypto.getRandomValues(new Uint8Array(32)),
            meterTag: new Uint8Array(16),
            units: 1,
          }),
          sealed: crypto.getRandomValues(new Uint8Array(1500)),
        })),
      );
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
}

export default {
  async fetch(request, env, context) {
    services ??= reduced(cloudflareServices(env, config, keys));
    app ??= createApp(services);
    const url = new URL(request.url);
    if (url.pathname !== '/bench/fill') return app.fetch(request, env, context);
    const { governance } = services;
    const count = Number(url.searchParams.get('count'));
    if (governance !== undefined) await fill(governance.receipts, count, 100);
    return Response.json({ count });
  },
} satisfies ExportedHandler<Env>;
