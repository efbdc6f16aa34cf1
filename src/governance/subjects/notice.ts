/**
 * The privacy notice, machine-readable: controller, processing, retention, recipients and how to exercise rights (GDPR
 * articles 13, 14 and 30). Made from the configuration alone.
 */

import { noticeSchemaId, type PrivacyNotice, type Processing, type Recipient } from './schema.ts';

export interface NoticeOptions {
  readonly controller: string;
  readonly contact?: string | undefined;
  readonly jurisdiction?: string | undefined;
  readonly recipients: readonly {
    readonly jurisdiction?: string | undefined;
    readonly region?: string | undefined;
  }[];
  readonly recoveryWindowDays: number;
}

/** The published bound. Above the five seconds for which an isolate trusts a cached document. */
const effectSeconds = 10;

export function createPrivacyNotice(options: NoticeOptions): PrivacyNotice {
  const { controller, contact, jurisdiction, recipients, recoveryWindowDays } = options;
  return {
    schema: noticeSchemaId,
    controller: { name: controller, contact: contact ?? null },
    jurisdiction: jurisdiction ?? null,
    processing,
    notKept,
    recipients: distinctRecipients(recipients),
    trainingUse: false,
    periods: { effectSeconds, recoveryWindowDays },
    rights: {
      access: '/v1/export',
      portability: '/v1/export',
      erasure: 'ask the controller, who erases with POST /admin/tenants/{id}/erasure',
    },
  };
}

function distinctRecipients(given: NoticeOptions['recipients']): Recipient[] {
  const recipients = given.map(
    ({ jurisdiction = null, region = null }): Recipient => ({
      category: 'inference-server',
      jurisdiction,
      region,
    }),
  );
  return [...new Map(recipients.map((one) => [JSON.stringify(one), one])).values()];
}

const processing: Processing[] = [
  {
    data: 'inputs and outputs of inferences',
    purpose: 'to answer the request',
    retention: 'none',
    protection:
      'held in memory for the request only; a receipt contains commitments whose salt only the caller receives',
  },
  {
    data: 'address of the connection',
    purpose: 'to limit the rate of unauthenticated requests',
    retention: 'minutes',
    protection: 'in memory as a salted hash; never stored or sent on',
  },
  {
    data: 'tenant: name, establishment, residency, fields of use; its keys, grants and acceptances, with who accepted',
    purpose: 'to decide what a tenant may do, and to prove that it was licensed',
    retention: 'until-erased',
    protection: 'keys are stored as hashes only',
  },
  {
    data: 'receipts: time, tenant and credential by their ids, the holder of a token by a pseudonym, model, licence, decision, purpose, where it ran, names and shapes of tensors',
    purpose: 'to prove to both sides what happened',
    retention: 'until-erased',
    protection:
      "encrypted under the tenant's own key, from which pseudonyms are derived as well; receipts without a tenant under a key of the month",
  },
  {
    data: 'signed revisions of grants',
    purpose: 'to show what a grant said when a receipt was made under it',
    retention: 'until-erased',
    protection: 'shown only to the tenant and the assigner of the grant',
  },
  {
    data: 'last statements of the grants of an erased tenant: ids of tenant and grant, model, units',
    purpose: 'royalties owed to the assigner of the grant',
    retention: 'permanent',
    protection: 'ids only; shown only to the assigner of the grant',
  },
  {
    data: 'log entries: hash of a receipt, pseudonymous meter of the month, units',
    purpose: 'to prevent receipts from being denied or added later; royalties',
    retention: 'permanent',
    protection: 'reveals nothing about a receipt without the receipt itself; meters are keyed hashes',
  },
  {
    data: 'counts of use by grant, or by tenant and model',
    purpose: 'quotas and royalties',
    retention: 'permanent',
    protection: 'ids only',
  },
];

const notKept: PrivacyNotice['notKept'] = [
  {
    data: 'inputs, outputs, parameters and headers of requests',
    because: 'not needed for any promise of this service',
  },
  {
    data: 'salts of commitments',
    because: 'the holder of a salt can test guesses about what was sent, so only the caller has it',
  },
  { data: 'API keys', because: 'a hash is enough to recognise a key' },
  { data: 'addresses of connections', because: 'not needed for any promise of this service' },
  {
    data: 'content of requests in operational log lines',
    because: 'a line contains only ids, codes and times',
  },
];
