/** The operations on terms, licence texts and acceptances, on the stop switch and policy packs. */
import { z } from '@hono/zod-openapi';
import { acceptanceSchema } from '../../governance/accounts/schema.ts';
import { dryRunSchema, shownPackSchema, stopSchema } from '../../governance/policy/schema.ts';
import { acceptanceBody } from '../routes/licences.ts';
import { stopBody } from '../routes/policy.ts';
import { anyObject, type Operation } from './operation.ts';

const digest = z.string();
const describedTerms = z
  .object({
    model: z.string(),
    version: z.string(),
    summary: z
      .array(z.string())
      .openapi({ description: 'For people: a sentence for each thing that the terms say.' }),
    licence: z.object({
      spdx: z.string(),
      text: z.object({ digest, byteLength: z.int(), url: z.string() }),
      acceptance: z.enum(['not-required', 'required']),
    }),
    checked: anyObject.openapi({ description: 'Digests, and the signature that this server has verified.' }),
    declared: anyObject.openapi({
      description: 'What the creator says, signed by them and verified by nobody.',
    }),
    enforced: anyObject.openapi({ description: 'What the gate decides by, on each request.' }),
    odrl: anyObject.openapi({ description: 'The terms as an offer in the words of ODRL 2.2.' }),
  })
  .openapi('Terms');

export const licenceOperations: readonly Operation[] = [
  {
    method: 'get',
    path: '/v1/models/{name}/terms',
    tag: 'Licences',
    summary: 'Terms of a model',
    description: 'Of the version that a request without one gets, or of the one that ?version= names.',
    answer: describedTerms,
  },
  {
    method: 'get',
    path: '/v1/licences/{digest}',
    tag: 'Licences',
    summary: 'A licence text, byte for byte',
    description: 'With ?model=<name>: of any of its published versions. Plain text.',
    answer: 'binary',
  },
  {
    method: 'post',
    path: '/v1/acceptances',
    tag: 'Licences',
    summary: 'Accept a licence text for the tenant of the key',
    description:
      'Wants the scope account: manage. The digest is that of exactly the text that was shown; one that no served version has is refused. The acceptance is on record in the log before it counts, and its receipt is in the header Edgewise-Receipt. Accepting the same text again changes nothing.',
    body: acceptanceBody,
    answer: acceptanceSchema,
  },
  {
    method: 'get',
    path: '/v1/acceptances',
    tag: 'Licences',
    summary: 'What the tenant of the key has accepted',
    description: 'Wants the scope account: read or manage.',
    answer: z.object({ acceptances: z.array(acceptanceSchema) }),
  },
  {
    method: 'delete',
    path: '/v1/acceptances/{id}',
    tag: 'Licences',
    summary: 'Withdraw an acceptance',
    description:
      'Wants the scope account: manage. In force everywhere within 10 seconds. The acceptance stays on record, withdrawn.',
    answer: acceptanceSchema,
  },
];

export const policyOperations: readonly Operation[] = [
  {
    method: 'put',
    path: '/admin/models/{name}/stop',
    tag: 'Admin',
    summary: 'Stop a model',
    description: 'Nobody is answered by it until it is let go on. In force everywhere within 10 seconds.',
    body: stopBody,
    answer: stopSchema,
    admin: true,
  },
  {
    method: 'delete',
    path: '/admin/models/{name}/stop',
    tag: 'Admin',
    summary: 'Let a stopped model go on',
    answer: z.object({ wasStopped: z.boolean() }),
    admin: true,
  },
  {
    method: 'get',
    path: '/admin/stops',
    tag: 'Admin',
    summary: 'Models that are stopped',
    answer: z.object({ stops: z.record(z.string(), stopSchema) }),
    admin: true,
  },
  {
    method: 'get',
    path: '/admin/packs',
    tag: 'Admin',
    summary: 'Policy packs that are configured',
    answer: z.object({ packs: z.array(shownPackSchema) }),
    admin: true,
  },
  {
    method: 'get',
    path: '/admin/packs/dry-run',
    tag: 'Admin',
    summary: 'What policy packs refuse at another time',
    description: 'At ?at=2027-01-01 everything that begins to apply on that day is in force. Default: now.',
    answer: dryRunSchema,
    admin: true,
  },
];
