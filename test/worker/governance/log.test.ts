import { runDurableObjectAlarm } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { durableObjectLog } from '../../../src/durable-objects/log-driver.ts';
import { receiptLogContract } from '../../governance/log/contract.ts';

let logs = 0;

receiptLogContract('a Durable Object and R2', async () => {
  const { objects } = await env.RECORDS.list();
  await env.RECORDS.delete(objects.map(({ key }) => key));
  logs += 1;
  const name = `log-${logs}`;
  const log = durableObjectLog({ namespace: env.LOG, bucket: env.RECORDS, name });
  return {
    log,
    async settle() {
      while (await runDurableObjectAlarm(env.LOG.getByName(name)));
    },
  };
});
