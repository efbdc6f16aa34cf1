/**
 * The gate's matrix through the whole app in workerd: real ONNX Runtime, R2, and the Durable Objects of log and meters. Each
 * missing right has its own code, and leaves a receipt.
 */
import { env } from 'cloudflare:workers';
import { base64url } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Grant, Scopes, Tenant } from '../../../src/governance/accounts/schema.ts';
import { encodeEntry, entryOf } from '../../../src/governance/log/entry.ts';
import { parseVerifierKey } from '../../../src/governance/log/note-keys.ts';
import { decodeProof, verifyProof } from '../../../src/governance/log/proof.ts';
import { readReceipt } from '../../../src/governance/receipt/read.ts';
import { createApp } from '../../../src/http/app.ts';
import { newGrantBody } from '../../../src/http/routes/grants.ts';
import type { Services } from '../../../src/http/services.ts';
import { cloudflareServices } from '../../../src/platform/cloudflare.ts';
import { readConfig } from '../../../src/platform/config.ts';
import { importGovernanceKeys } from '../../../src/platform/governance-config.ts';
import type { Terms } from '../../../src/repository/terms.ts';
import { digestOf } from '../../../src/storage/digest.ts';
import type { Digest } from '../../../src/storage/types.ts';
import { testGovernanceBindings, testLogVerifierKey } from '../../support/governance-keys.ts';
import { identityModel } from '../../support/onnx-models.ts';
import { signManifest, trustedPublishers } from '../../support/publisher.ts';
import { licenceBytes, licenceDigest, termsOf } from '../../support/terms.ts';
import { tinyManifest } from '../../support/tiny-model.ts';

const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1] });
const graph = new Uint8Array(identityModel('FP32', ['n']).graph);
const body = JSON.stringify({ inputs: [{ ...spec('x'), shape: [2], data: [1, 2] }] });
const config = readConfig({
  ...testGovernanceBindings,
  EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
  EDGEWISE_OPEN_MODELS: '*',
  EDGEWISE_MAX_QUEUE_PER_MODEL: '400',
  EDGEWISE_MAX_IN_FLIGHT: '400',
  EDGEWISE_LOG: 'off',
  EDGEWISE_RATE_PER_MINUTE: '0',
  EDGEWISE_ANONYMOUS_RATE_PER_MINUTE: '0',
});

let services: Services;
let app: ReturnType<typeof createApp>;
beforeAll(async () => {
  const keys = { keys: await importGovernanceKeys(config.governance), packs: [] };
  services = cloudflareServices(env, config, keys);
  app = createApp(services);
});

async function publish(name: string, terms: Terms, version = '1', text = licenceBytes): Promise<void> {
  const { publisher, repository } = services;
  const manifest = await tinyManifest(graph, {
    name,
    version,
    inputs: [spec('x')],
    outputs: [spec('y')],
    terms,
  });
  await publisher.putBlob(manifest.graph.digest, graph);
  await publisher.putBlob(manifest.terms.licence.text, text);
  await publisher.publishVersion(manifest, await signManifest(manifest), { aliases: ['stable'] });
  repository.invalidate(name);
}

let count = 0;
/** A tenant of its own for each case. @returns its key */
async function tenantWith({
  grants = [],
  accepts = [],
  scopes = {},
  ...tenant
}: Partial<Omit<Tenant, 'grants'>> & {
  readonly grants?: readonly Partial<Grant>[];
  readonly accepts?: readonly { readonly model: string; readonly text: Digest }[];
  readonly scopes?: Partial<Scopes>;
} = {}): Promise<{ readonly id: string; readonly key: string; readonly grant: string | undefined }> {
  const store = accounts().store;
  count += 1;
  const id = `tenant-${count}`;
  await store.createTenant({ id, name: id, establishment: 'DE', fieldsOfUse: [], ...tenant });
  for (const { model, text } of accepts) {
    await store.addAcceptance(id, { model, spdx: 'Apache-2.0', text, by: 'Jo', method: 'api' });
  }
  let grant: string | undefined;
  for (const each of grants) {
    const made = await store.putGrant(id, newGrantBody.parse({ ...wholeGrant, ...each }));
    grant = made.id;
  }
  const { text } = await store.createKey(id, {
    scopes: {
      models: ['*'],
      actions: ['infer'],
      purposes: '*',
      repository: 'none',
      account: 'none',
      ...scopes,
    },
  });
  return { id, key: text, grant };
}

function accounts() {
  if (services.accounts === undefined) throw new Error('no accounts');
  return services.accounts;
}

const wholeGrant = { assigner: 'Acme', model: 'granted' };

async function ask(model: string, key?: string, headers: Record<string, string> = {}): Promise<Response> {
  const authorization = key === undefined ? {} : { authorization: `Bearer ${key}` };
  return app.request(`/v2/models/${model}/infer`, {
    method: 'POST',
    body,
    headers: { ...authorization, ...headers },
  });
}

/** Returns the status, and the code and kind in the receipt. */
async function outcome(answer: Response) {
  const keys = services.governance?.ring.verifying ?? new Map();
  const { receipt } = await readReceipt(answer.headers.get('edgewise-receipt') ?? '', keys);
  const decision = 'decision' in receipt ? receipt.decision : undefined;
  expect(decision?.code).toBe(answer.headers.get('edgewise-error') ?? undefined);
  return { status: answer.status, code: decision?.code, kind: receipt.kind };
}
const refusal = (status: number, code: string) => ({ status, code, kind: 'refusal' });
const permitted = { status: 200, code: undefined, kind: 'inference' };

describe('the gate in workerd', () => {
  it('permits what a grant permits, and logs the receipt', async () => {
    await publish('granted', termsOf({ grant: 'required', anonymous: false }));
    const { key } = await tenantWith({ grants: [{}] });
    const answer = await ask('granted', key, { Prefer: 'receipt=logged' });
    expect(await outcome(answer)).toEqual(permitted);
    const { receipt } = await readReceipt(
      answer.headers.get('edgewise-receipt') ?? '',
      services.governance?.ring.verifying ?? new Map(),
    );
    const proof = base64url.decode(answer.headers.get('edgewise-receipt-proof') ?? '');
    const tag = new Uint8Array(base64url.decode(receipt.meter.tag));
    const entry = await entryOf(answer.headers.get('edgewise-receipt') ?? '', tag, receipt.meter.units);
    const log = await parseVerifierKey(testLogVerifierKey);
    const proven = await verifyProof(decodeProof(new TextDecoder().decode(proof)), encodeEntry(entry), {
      log,
    });
    expect(proven.size).toBeGreaterThan(proven.index);
  });

  it('refuses without a grant', async () => {
    const { key } = await tenantWith();
    expect(await outcome(await ask('granted', key))).toEqual(refusal(403, 'grant_missing'));
  });

  it('refuses an expired grant, and one that has not begun', async () => {
    const { key: over } = await tenantWith({ grants: [{ notAfter: '2020-01-01T00:00:00Z' }] });
    expect(await outcome(await ask('granted', over))).toEqual(refusal(403, 'grant_expired'));
    const { key: early } = await tenantWith({ grants: [{ notBefore: '2120-01-01T00:00:00Z' }] });
    expect(await outcome(await ask('granted', early))).toEqual(refusal(403, 'grant_expired'));
  });

  it('refuses a grant at once in the isolate that revoked it', async () => {
    const { id, key, grant = '' } = await tenantWith({ grants: [{}] });
    expect(await outcome(await ask('granted', key))).toEqual(permitted);
    await accounts().store.setGrantStatus(id, grant, 'revoked');
    expect(await outcome(await ask('granted', key))).toEqual(refusal(403, 'grant_revoked'));
  });

  it('refuses until the licence is accepted, and again if its text has changed', async () => {
    const accepting = { licence: { ...termsOf().licence, acceptance: 'required' as const } };
    await publish('accepted', termsOf({ anonymous: false, ...accepting }));
    const { key: never } = await tenantWith();
    expect(await outcome(await ask('accepted', never))).toEqual(refusal(403, 'licence_not_accepted'));
    const { key } = await tenantWith({ accepts: [{ model: 'accepted', text: licenceDigest }] });
    expect(await outcome(await ask('accepted', key))).toEqual(permitted);

    const text = new TextEncoder().encode('Other words.\n');
    const digest = await digestOf(new Uint8Array(text));
    const changed = { licence: { ...accepting.licence, text: digest, byteLength: text.byteLength } };
    await publish('accepted', termsOf({ anonymous: false, ...changed }), '2', new Uint8Array(text));
    expect(await outcome(await ask('accepted', key))).toEqual(refusal(403, 'licence_reacceptance_required'));
  });

  it('refuses another territory, and an unknown one', async () => {
    const territories = { permit: ['EU' as const], deny: [], basis: 'tenant-establishment' as const };
    await publish('european', termsOf({ anonymous: false, territories }));
    const { key: inside } = await tenantWith({ establishment: 'AT' });
    expect(await outcome(await ask('european', inside))).toEqual(permitted);
    const { key: outside } = await tenantWith({ establishment: 'US' });
    expect(await outcome(await ask('european', outside))).toEqual(refusal(451, 'territory_not_allowed'));
    const { key: unknown } = await tenantWith({ establishment: undefined });
    expect(await outcome(await ask('european', unknown))).toEqual(refusal(451, 'territory_not_allowed'));
  });

  it('refuses another purpose, and a missing one if one is required', async () => {
    await publish('research', termsOf({ anonymous: false, purposes: { permit: ['research'], deny: [] } }));
    const { key } = await tenantWith();
    const asking = (purpose: string) => ask('research', key, { 'Edgewise-Purpose': purpose });
    expect(await outcome(await asking('research'))).toEqual(permitted);
    expect(await outcome(await asking('marketing'))).toEqual(refusal(403, 'purpose_not_allowed'));
    expect(await outcome(await ask('research', key))).toEqual(refusal(403, 'purpose_not_allowed'));
  });

  it('refuses fields of use that the terms deny', async () => {
    await publish(
      'careful',
      termsOf({ anonymous: false, fieldsOfUse: { permit: '*', deny: ['biometric-id'] } }),
    );
    const { key } = await tenantWith({ fieldsOfUse: ['biometric-id'] });
    expect((await outcome(await ask('careful', key))).status).toBe(403);
  });

  it('refuses a stopped model', async () => {
    await publish('stopped', termsOf());
    await services.governance?.stops.stop('stopped', 'under review');
    expect(await outcome(await ask('stopped'))).toEqual(refusal(403, 'model_stopped'));
  });

  it('answers exactly 100 of 200 parallel calls under a quota of 100', async () => {
    await publish('counted', termsOf({ grant: 'required', anonymous: false }));
    const { key } = await tenantWith({ grants: [{ model: 'counted', quota: { units: 100, per: 'month' } }] });
    const answers = await Promise.all(Array.from({ length: 200 }, () => ask('counted', key)));
    const outcomes = await Promise.all(answers.map(outcome));
    expect(outcomes.filter(({ status }) => status === 200)).toHaveLength(100);
    expect(outcomes.filter(({ code }) => code === 'quota_exceeded')).toHaveLength(100);
  });
});
