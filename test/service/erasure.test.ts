/** Erasure at a real worker: its storage before and after, byte by byte, and the proofs that still verify. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type DevServer, startDevServer } from '../../scripts/dev-server.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { type AccountClient, createAccountClient } from '../../src/client/account-client.ts';
import { createInferenceClient } from '../../src/client/inference-client.ts';
import { identityModel } from '../support/onnx-models.ts';
import { licenceDigest } from '../support/terms.ts';
import { filesUnder } from './kept-search.ts';
import { writeModelFolder } from './model-folders.ts';

const folder = mkdtempSync(join(tmpdir(), 'edgewise-erasure-'));
const persistTo = join(folder, 'worker');
const name = 'Unmistakable Widgets of Nowhere';
const person = 'Jane Unmistakable';

let worker: DevServer;
let accounts: AccountClient;
beforeAll(async () => {
  worker = await startDevServer({ persistTo });
  const place = join(folder, 'model');
  writeModelFolder(place, identityModel('FP32', ['count']).graph, { name: 'echo' });
  await pushModel(place, { ...worker, aliases: ['stable'] });
  accounts = createAccountClient({ url: worker.url, key: worker.adminKey });
});
afterAll(async () => {
  await worker?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Returns everything that is stored, as one text. */
const readStorage = () =>
  filesUnder(persistTo, '')
    .map(({ bytes }) => bytes.toString('latin1'))
    .join('\n');
const wrappedKeys = () =>
  new Set(Array.from(readStorage().matchAll(/"key":"([\w-]{80})"/g), ([, key]) => key ?? ''));

interface Answered {
  readonly receipt: string;
  readonly proof: string;
}

async function infer(key: string): Promise<Answered> {
  const answer = await fetch(`${worker.url}/v2/models/echo/infer`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, Prefer: 'receipt=logged' },
    body: JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] }),
  });
  const receipt = answer.headers.get('Edgewise-Receipt');
  const proof = answer.headers.get('Edgewise-Receipt-Proof');
  if (receipt === null || proof === null) return expect.fail(await answer.text());
  return { receipt, proof };
}

function post(path: string, key: string, body: unknown): Promise<Response> {
  return fetch(`${worker.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  });
}

it('erasure leaves no name, no hash and no key in the storage, and every receipt that callers hold still verifies', {
  timeout: 120_000,
}, async () => {
  await accounts.createTenant({ id: 'stays', name: 'Another' });
  const other = await accounts.createKey('stays');
  await accounts.createTenant({ id: 'leaver', name });
  const { text } = await accounts.createKey('leaver', { scopes: { account: 'manage' } });
  const accepted = await post('/v1/acceptances', text, { model: 'echo', by: person, text: licenceDigest });
  expect(accepted.status, await accepted.text()).toBe(201);
  const held = await infer(text);
  await infer(other.text);
  const keysBefore = wrappedKeys();
  for (const known of [name, person]) expect(readStorage()).toContain(known);
  expect(keysBefore.size).toBeGreaterThanOrEqual(2);
  const exported = await accounts.exportTenant('leaver');
  expect(exported.receipts.items.map(({ receipt }) => receipt)).toContain(held.receipt);

  const erasure = await accounts.eraseTenant('leaver');
  expect(Date.parse(erasure.erasureCompleteAt ?? '') - Date.parse(erasure.erasedAt ?? '')).toBe(
    30 * 86_400_000,
  );
  await expect(
    createInferenceClient({ url: worker.url, key: text, maxAttempts: 1 }).infer({ name: 'echo' }, new Map()),
  ).rejects.toMatchObject({ code: 'unauthenticated' });
  expect((await accounts.exportTenant('leaver')).receipts.items).toEqual([]);
  expect((await accounts.exportTenant('stays')).receipts.items).toHaveLength(1);

  // Submitted again, the receipt matches the one in the log.
  const again = await fetch(`${worker.url}/v1/receipts`, {
    method: 'POST',
    headers: { Prefer: 'receipt=logged' },
    body: held.receipt,
  });
  expect(again.status).toBe(200);

  await worker.stop();
  const after = readStorage();
  expect(after).not.toContain(name);
  expect(after).not.toContain(person);
  expect(after).not.toContain(text.slice(-43));
  const gone = [...keysBefore].filter((key) => !after.includes(key));
  expect(gone).toHaveLength(1);
});
