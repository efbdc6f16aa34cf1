/** Edgewise with the part of its governance that `BENCH_PARTS` selects, and a route that fills the log. */
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

function reduceGovernance(whole: Services): Services {
  if (whole.governance === undefined || parts === 'all') return whole;
  const governance = withoutRecords(whole.governance);
  return { ...whole, governance: parts === 'gate' ? withoutReceipts(governance) : governance };
}

/** Keeps gate and receipt, and drops the work after the answer. */
function withoutRecords(governance: Governance): Governance {
  return {
    ...governance,
    defer: () => undefined,
    appender: { add: () => Promise.resolve(), hasRoom: () => true, flush: () => Promise.resolve() },
    vault: Object.assign(Object.create(governance.vault), { sealer: () => undefined }),
  };
}

/** Keeps only the decision, which an edge cannot do without; every answer gets the same receipt. */
function withoutReceipts(governance: Governance): Governance {
  const empty = { receiptHash: new Uint8Array(32), meterTag: new Uint8Array(16), units: 0 };
  const entry = () => Promise.resolve(empty);
  const id = '01a20d3c-1430-73b3-90fa-54c08a8b18fb';
  const issued = { id, caller: {}, compact: '', salt: undefined, entry };
  return { ...governance, issuer: { ...governance.issuer, inference: () => Promise.resolve(issued) } };
}

/** Appends different receipts, `batch` at a time and four batches at once, as busy isolates do. */
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
    services ??= reduceGovernance(cloudflareServices(env, config, keys));
    app ??= createApp(services);
    const url = new URL(request.url);
    if (url.pathname !== '/bench/fill') return app.fetch(request, env, context);
    const { governance } = services;
    const count = Number(url.searchParams.get('count'));
    if (governance !== undefined) await fill(governance.receipts, count, 100);
    return Response.json({ count });
  },
} satisfies ExportedHandler<Env>;
