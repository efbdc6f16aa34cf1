/** Facts that the receipts of tests are issued from. */
import type { Grant } from '../../../src/governance/accounts/schema.ts';
import { grantSchema, scopesSchema, tenantSchema } from '../../../src/governance/accounts/schema.ts';
import type { Permission, Refusal } from '../../../src/governance/policy/types.ts';
import {
  createReceiptIssuer,
  type InferenceFacts,
  type ReceiptIssuer,
  type RefusalFacts,
} from '../../../src/governance/receipt/issue.ts';
import { importSigningKeys, type KeyRing } from '../../../src/governance/receipt/keys.ts';
import { createMeterTagger } from '../../../src/governance/receipt/meter-tag.ts';
import type { ModelFacts } from '../../../src/governance/receipt/parts.ts';
import type { Digest } from '../../../src/storage/types.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { testRecordsKeys, testSigningKeys } from '../../support/governance-keys.ts';
import { openTerms } from '../../support/terms.ts';

export const arrivalMs = Date.parse('2026-11-24T10:11:12.345Z');
export const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}`;

export const modelFacts: ModelFacts = {
  manifest: { name: 'mlp', version: '3', terms: openTerms },
  manifestDigest: digest('a'),
  signed: { root: digest('b'), bundle: digest('c'), signer: 'acme' },
};

export const grant: Grant = grantSchema.parse({
  id: 'g1',
  assigner: 'acme',
  model: 'mlp',
  createdAt: '2026-11-01T00:00:00.000Z',
});

export const permit: Permission = {
  permitted: true,
  purpose: 'research',
  territory: 'DE',
  grant,
  acceptance: 'a1',
  duties: [],
  meter: { meter: 'grant:g1', quota: undefined },
};

export const refusal: Refusal = {
  permitted: false,
  code: 'purpose_not_allowed',
  right: 'purpose advertising',
  message: 'mlp may not be used for advertising',
  where: undefined,
  purpose: 'advertising',
  territory: 'DE',
  grant,
};

export const tensors = (...values: number[]): Map<string, Tensor> =>
  new Map([['x', { datatype: 'FP32', shape: [1, values.length], data: Float32Array.from(values) }]]);

const common: Omit<RefusalFacts, 'decision'> = {
  atMs: arrivalMs,
  caller: {
    kind: 'tenant',
    id: 'k1',
    tenant: tenantSchema.parse({
      schema: 'edgewise.tenant.v1',
      id: 'acme',
      name: 'Acme',
      createdAt: '2026-11-01T00:00:00.000Z',
    }),
    scopes: scopesSchema.parse({}),
  },
  action: 'infer',
  model: modelFacts,
  packs: [{ id: 'eu-ai-act', digest: digest('d') }],
  meter: 'grant:g1',
};

export const inferenceFacts: InferenceFacts = {
  ...common,
  decision: permit,
  units: 1,
  route: {
    tier: 'edge',
    reason: 'fits-edge',
    jurisdiction: 'eu',
    runtime: { name: 'onnxruntime-web', version: '1.30.0', wasm: digest('e'), threads: 1 },
    reproducibility: 'exact',
  },
  inputs: tensors(1, 2),
  outputs: tensors(3),
};

export const refusalFacts: RefusalFacts = { ...common, decision: refusal };

export async function testIssuer(): Promise<{ readonly issuer: ReceiptIssuer; readonly ring: KeyRing }> {
  const ring = await importSigningKeys(testSigningKeys);
  const meters = await createMeterTagger(testRecordsKeys.split(','));
  const issuer = createReceiptIssuer({
    signing: ring.signing,
    issuer: 'https://edgewise.test',
    log: 'log.edgewise.test/receipts',
    code: '0.1.0',
    meters,
  });
  return { issuer, ring };
}
