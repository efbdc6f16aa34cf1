/** Licences: the terms of models, the texts of their licences, and the acceptances of tenants. */

import { createRoute, z } from '@hono/zod-openapi';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import { acceptanceSchema } from '../../governance/accounts/schema.ts';
import { describeTerms } from '../../governance/policy/describe-terms.ts';
import { digestSchema } from '../../repository/common-schema.ts';
import { servedVersions } from '../../repository/index/version-policy.ts';
import type { Manifest } from '../../repository/schema.ts';
import { termsSchema } from '../../repository/terms.ts';
import type { Digest } from '../../storage/types.ts';
import { requireUse } from '../caller/access.ts';
import { requireAccount } from '../caller/account-access.ts';
import { addAnswerHeaders } from '../context.ts';
import { requestHeaders } from '../openapi/headers.ts';
import { fileResponse, jsonBody, jsonResponse, refusals } from '../openapi/responses.ts';
import { accept, createAcceptanceRecorder, withdraw } from '../record/acceptances.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { accountId, digest, modelName, modelParams } from './parameters.ts';
import { ownOnly, requireEnabled } from './requirements.ts';

const { creator, licence: _, trainingData, kind, marking, ...enforced } = termsSchema.shape;

const describedTermsSchema = z
  .object({
    model: z.string(),
    version: z.string(),
    summary: z
      .array(z.string())
      .readonly()
      .openapi({ description: 'For people: a sentence for each thing that the terms say.' }),
    licence: z.object({
      spdx: z.string(),
      text: z.object({ digest: z.string(), byteLength: z.int(), url: z.string() }),
      acceptance: z.enum(['not-required', 'required']),
    }),
    checked: z
      .object({
        root: z.string(),
        manifest: z.string(),
        licenceText: z.string(),
        signature: z.object({ bundle: z.string(), signer: z.string() }),
      })
      .openapi({ description: 'Digests, and the signature that this server has verified.' }),
    declared: z
      .object({
        creator,
        trainingData,
        kind,
        marking: marking.nullable(),
        description: z.string(),
      })
      .openapi({ description: 'The claims of the creator, signed but not verified.' }),
    enforced: z.object(enforced).openapi({ description: 'The rules that every request is decided by.' }),
    odrl: z.record(z.string(), z.any()).openapi({ description: 'The terms as an offer in ODRL 2.2.' }),
  })
  .openapi('Terms');

const getTerms = createRoute({
  method: 'get',
  path: '/v1/models/{name}/terms',
  operationId: 'getTerms',
  tags: ['Licences'],
  summary: 'Terms of a model',
  request: {
    params: modelParams,
    query: z.object({
      version: z.string().optional().openapi({
        description: 'A version or an alias. Default: the version that a request without one gets.',
      }),
    }),
  },
  responses: { 200: jsonResponse(describedTermsSchema, 'The terms'), ...refusals(404) },
});

const getLicence = createRoute({
  method: 'get',
  path: '/v1/licences/{digest}',
  operationId: 'getLicence',
  tags: ['Licences'],
  summary: 'A licence text, byte for byte',
  description: 'Of any published version of the model.',
  request: {
    params: z.object({ digest }),
    query: z.object({ model: modelName }),
  },
  responses: { 200: fileResponse('text/plain', 'The text', 'Cache-Control', 'ETag'), ...refusals(404) },
});

const { model, by, method } = acceptanceSchema.shape;
const acceptanceBody = z.strictObject({
  model,
  text: digestSchema.meta({ description: 'The digest of exactly the text that was shown.' }),
  by,
  method: method.default('api'),
});

const acceptLicence = createRoute({
  method: 'post',
  path: '/v1/acceptances',
  operationId: 'acceptLicence',
  tags: ['Licences'],
  summary: 'Accept a licence text for the tenant of the key',
  description:
    'Needs the scope account: manage. A text that no served version has is refused. The acceptance is in the log before it counts, and its receipt is in the header Edgewise-Receipt. Accepting the same text again changes nothing.',
  request: { body: jsonBody(acceptanceBody), headers: [requestHeaders.jurisdiction] },
  responses: {
    200: jsonResponse(acceptanceSchema, 'The text was accepted before', 'Cache-Control'),
    201: jsonResponse(acceptanceSchema, 'The acceptance', 'Cache-Control', 'Edgewise-Receipt'),
    ...refusals(404, 409, 507),
  },
});

const listAcceptances = createRoute({
  method: 'get',
  path: '/v1/acceptances',
  operationId: 'listAcceptances',
  tags: ['Licences'],
  summary: 'What the tenant of the key has accepted',
  description: 'Needs the scope account: read or manage.',
  request: { headers: [requestHeaders.jurisdiction] },
  responses: {
    200: jsonResponse(
      z.object({ acceptances: z.array(acceptanceSchema) }),
      'The acceptances',
      'Cache-Control',
    ),
    ...refusals(404),
  },
});

const withdrawAcceptance = createRoute({
  method: 'delete',
  path: '/v1/acceptances/{id}',
  operationId: 'withdrawAcceptance',
  tags: ['Licences'],
  summary: 'Withdraw an acceptance',
  description:
    'Needs the scope account: manage. In force everywhere within 10 seconds. The acceptance stays on record, withdrawn.',
  request: { params: z.object({ id: accountId }), headers: [requestHeaders.jurisdiction] },
  responses: {
    200: jsonResponse(acceptanceSchema, 'The acceptance, withdrawn', 'Cache-Control', 'Edgewise-Receipt'),
    ...refusals(404, 409, 507),
  },
});

export function licenceRoutes(services: Services) {
  const routes = new ApiRoutes(services);
  const { settings } = services;
  const accounts = () => requireEnabled(services.accounts, 'accounts');
  const recorder = () => createAcceptanceRecorder(requireEnabled(services.governance, 'acceptances'));

  routes.forCaller(getTerms, async (c, caller) => {
    const { name } = c.req.valid('param');
    requireUse(caller, name, settings);
    const resolved = await services.repository.resolvePublished(name, c.req.valid('query').version);
    return c.json(describeTerms(resolved), 200);
  });

  routes.forCaller(getLicence, async (c, caller) => {
    const { digest: text } = c.req.valid('param');
    const { model: name } = c.req.valid('query');
    requireUse(caller, name, settings);
    const headers = { ...textHeaders, ETag: `"${text}"` };
    return new Response(await findLicenceText(services, name, text), { headers });
  });

  routes.forTenant(acceptLicence, async (c, caller) => {
    requireAccount(c, services, caller, 'manage');
    const wish = c.req.valid('json');
    requireUse(caller, wish.model, settings);
    const served = await servedManifests(services, wish.model);
    const { acceptance, compact } = await accept(accounts(), recorder(), caller, served, wish);
    if (compact === undefined) return c.json(acceptance, 200, ownOnly);
    addAnswerHeaders(c, { 'Edgewise-Receipt': compact });
    return c.json(acceptance, 201, ownOnly);
  });

  routes.forTenant(listAcceptances, async (c, caller) => {
    requireAccount(c, services, caller, 'read');
    const { acceptances } = await accounts().store.tenant(caller.tenant.id);
    return c.json({ acceptances }, 200, ownOnly);
  });

  routes.forTenant(withdrawAcceptance, async (c, caller) => {
    requireAccount(c, services, caller, 'manage');
    const { id } = c.req.valid('param');
    const { acceptance, compact } = await withdraw(accounts(), recorder(), caller, id);
    if (compact !== undefined) addAnswerHeaders(c, { 'Edgewise-Receipt': compact });
    return c.json(acceptance, 200, ownOnly);
  });
  return routes.app;
}

/** A publisher wrote the text, so a browser shows it as text and runs nothing in it. */
const textHeaders = {
  'Content-Type': 'text/plain; charset=utf-8',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; sandbox",
  'Cache-Control': 'private, max-age=31536000, immutable',
};

/**
 * Returns the licence text of any published version of the model, including versions that are no longer served, since a
 * tenant may have accepted it. No other stored content can be read this way.
 *
 * @throws EdgewiseError `model_not_found`; `not_found` if no version has the text, or it is not stored.
 */
async function findLicenceText({ blobs, repository }: Services, name: string, text: Digest): Promise<Bytes> {
  for (const { version } of (await repository.index(name)).versions) {
    const found = await unlessRefused(() => repository.version(name, version));
    if (found?.manifest.terms.licence.text !== text) continue;
    const bytes = await blobs.get(text);
    if (bytes !== undefined) return bytes;
  }
  throw new EdgewiseError('not_found', `model "${name}" has no licence text ${text}`);
}

async function servedManifests({ repository }: Services, name: string): Promise<readonly Manifest[]> {
  const served: Manifest[] = [];
  for (const version of servedVersions(await repository.index(name))) {
    const found = await unlessRefused(() => repository.resolvePublished(name, version));
    if (found !== undefined) served.push(found.manifest);
  }
  return served;
}

/** Returns undefined for a version that is never served: published before there were terms, or without a valid signature. */
async function unlessRefused<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    const { code } = toEdgewiseError(error);
    if (code === 'policy_refused' || code === 'signature_invalid') return undefined;
    throw error;
  }
}
