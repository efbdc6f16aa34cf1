/**
 * What is done with whose data, in a form that a program reads: who answers for it, what is kept and for how long, who else
 * receives it, and where one gets at one's rights (GDPR articles 13, 14 and 30). Made from the configuration alone.
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

/** The bound that is told, above the five seconds for which an isolate trusts what it has read. */
const effectSeconds = 10;

export function privacyNotice(options: NoticeOptions): PrivacyNotice {
  const { controller, contact, jurisdiction, recipients, recoveryWindowDays } = options;
  return {
    schema: noticeSchemaId,
    controller: { name: controller, contact: contact ?? null },
    jurisdiction: jurisdiction ?? null,
    processing,
    notKept,
    recipients: distinct(recipients),
    trainingUse: false,
    periods: { effectSeconds, recoveryWindowDays },
    rights: {
      access: '/v1/export',
      portability: '/v1/export',
      erasure: 'asked of the controller, who erases with POST /admin/tenants/{id}/erasure',
    },
  };
}

function distinct(given: NoticeOptions['recipients']): Recipient[] {
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
      'in the memory of the request alone; a receipt holds keyed commitments whose salt only the caller is given',
  },
  {
    data: 'address of the connection',
    purpose: 'to bound how often callers without a key may ask',
    retention: 'minutes',
    protection: 'in memory as a salted hash, never stored or sent on',
  },
  {
    data: 'tenant: name, establishment, residency, fields of use; its keys, grants and acceptances, with who accepted',
    purpose: 'to decide what a tenant may do, and to show that it was licensed',
    retention: 'until-erased',
    protection: 'of keys only hashes',
  },
  {
    data: 'receipts: time, tenant and credential by their ids, the holder of a token by a pseudonym, model, licence, decision, purpose, where it ran, names and shapes of tensors',
    purpose: 'to show what happened, to both sides',
    retention: 'until-erased',
    protection:
      "encrypted under the tenant's own key, which pseudonyms are made with, too; those without a tenant under a key of the month",
  },
  {
    data: 'forms that a grant has had, signed',
    purpose: 'to show what a grant said when a receipt was made under it',
    retention: 'until-erased',
    protection: 'shown to its tenant and to who gave it',
  },
  {
    data: 'last statements of the grants of an erased tenant: ids of tenant and grant, model, units',
    purpose: 'royalties that are owed to who gave the grant',
    retention: 'permanent',
    protection: 'by ids alone, shown to who gave the grant',
  },
  {
    data: 'log entries: hash of a receipt, pseudonymous meter of the month, units',
    purpose: 'that no receipt can be denied or added later; royalties',
    retention: 'permanent',
    protection: 'says nothing of a receipt to who does not hold it; meters are keyed hashes',
  },
  {
    data: 'counts of use by grant, or by tenant and model',
    purpose: 'quotas and royalties',
    retention: 'permanent',
    protection: 'by ids alone',
  },
];

const notKept: PrivacyNotice['notKept'] = [
  {
    data: 'inputs, outputs, parameters and headers of requests',
    because: 'nothing that is promised here needs them',
  },
  {
    data: 'salts of commitments',
    because: 'whoever holds one can test guesses of what was sent: the caller alone does',
  },
  { data: 'API keys', because: 'a hash is enough to know one again' },
  { data: 'addresses of connections', because: 'nothing that is promised here needs them' },
  {
    data: 'log lines of single requests with anything of their content',
    because: 'a line names ids, codes and times',
  },
];
