/** Edgewise with as much of its accounting as `BENCH_PARTS` says, and a route that fills the log. */
import { env as startEnv } from 'cloudflare:workers';
import { encodeEntry } from '../../src/governance/log/entry.ts';
import { createApp } from '../../src/http/app.ts';
import type { Accounting } from '../../src/http/record/accounting.ts';
import type { Services } from '../../src/http/services.ts';
import { importAccountingKeys } from '../../src/platform/accounting-config.ts';
import { cloudflareServices } from '../../src/platform/cloudflare.ts';
import { readConfig } from '../../src/platform/config.ts';

export { TransparencyLog } from '../../src/durable-objects/log.ts';
export { GrantMeter } from '../../src/durable-objects/meter.ts';

const config = readConfig({ ...startEnv });
const keys = { keys: await importAccountingKeys(config.accounting), packs: [] };
const parts = Reflect.get(startEnv, 'BENCH_PARTS');

let services: Services | undefined;
let app: ReturnType<typeof createApp> | undefined;

function reduced(whole: Services): Services {
  if (whole.accounting === undefined || parts === 'all') return whole;
  const accounting = unrecorded(whole.accounting);
  return { ...whole, accounting: parts === 'gate' ? withoutReceipts(accounting) : accounting };
}

/** Gate and receipt, and nothing after the answer. */
function unrecorded(accounting: Accounting): Accounting {
  return {
    ...accounting,
    defer: () => undefined,
    appender: { add: () => Promise.resolve(), hasRoom: () => true, flush: () => Promise.resolve() },
    vault: Object.assign(Object.create(accounting.vault), { sealer: () => undefined }),
  };
}

/** What an edge cannot do without: the decision. Its receipt is always the same one. */
function withoutReceipts(accounting: Accounting): Accounting {
  const empty = { receiptHash: new Uint8Array(32), meterTag: new Uint8Array(16), units: 0 };
  const entry = () => Promise.resolve(empty);
  const id = '01a20d3c-1430-73b3-90fa-54c08a8b18fb';
  const issued = { id, caller: {}, compact: '', salt: undefined, entry };
  return { ...accounting, issuer: { ...accounting.issuer, inference: () => Promise.resolve(issued) } };
}

/** Appends receipts that differ, `batch` at a time and four batches at once, as busy isolates do. */
async function fill(log: Accounting['receipts'], count: number, batch: number): Promise<void> {
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
    const { accounting } = services;
    const count = Number(url.searchParams.get('count'));
    if (accounting !== undefined) await fill(accounting.receipts, count, 100);
    return Response.json({ count });
  },
} satisfies ExportedHandler<Env>;
