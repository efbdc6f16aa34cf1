/** Whose models are: their terms, the texts of their licences, and what tenants have accepted of these. */
import { Hono } from 'hono';
import { z } from 'zod';
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import type { Caller, TenantCaller } from '../../governance/accounts/caller.ts';
import { acceptanceSchema } from '../../governance/accounts/schema.ts';
import { describeTerms } from '../../governance/policy/describe-terms.ts';
import { digestSchema } from '../../repository/common-schema.ts';
import { servedVersions } from '../../repository/index/version-policy.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import { checkModelName } from '../../repository/name.ts';
import type { Manifest } from '../../repository/schema.ts';
import { parseDigest } from '../../storage/digest.ts';
import type { Digest } from '../../storage/types.ts';
import { requireUse } from '../caller/access.ts';
import { requireAccount } from '../caller/account-access.ts';
import { identifyCaller } from '../caller/identify.ts';
import { type AppContext, type AppEnv, addAnswerHeaders } from '../context.ts';
import { accept, createAcceptanceRecorder, type RecordAcceptance, withdraw } from '../record/acceptances.ts';
import type { Services } from '../services.ts';
import { accountsOf } from './accounts.ts';
import { readDocument } from './admin-request.ts';

const { model, by, method } = acceptanceSchema.shape;
export const acceptanceBody = z.strictObject({
  model,
  /** Of exactly the text that was shown. */
  text: digestSchema,
  by,
  method: method.default('api'),
});

/** @param recorded How acceptances are put on record. Default: as receipts in the log. */
export function licenceRoutes(services: Services, recorded?: RecordAcceptance): Hono<AppEnv> {
  const app = new Hono<AppEnv>();

  app.get('/models/:name/terms', async (c) => {
    const name = checkModelName(c.req.param('name'));
    const resolved = await visible(c, services, name, c.req.query('version'));
    return c.json(describeTerms(resolved));
  });

  app.get('/licences/:digest', async (c) => {
    const digest = parseDigest(c.req.param('digest'));
    const name = c.req.query('model');
    if (name === undefined) {
      throw new EdgewiseError(
        'invalid_request',
        "a licence text is asked for by model, wanted ?model=<name>: a model's terms have the whole address",
      );
    }
    return textAnswer(await licenceText(c, services, checkModelName(name), digest), digest);
  });

  app.post('/acceptances', async (c) => {
    const accounts = accountsOf(services);
    const caller = tenantOf(await identifyCaller(c, services));
    requireAccount(c, services, caller, 'manage');
    const wish = await readDocument(c, acceptanceBody);
    requireUse(caller, wish.model, services.settings);
    const served = await servedManifests(services, wish.model);
    const { acceptance, compact } = await accept(
      accounts,
      recorderOf(services, recorded),
      caller,
      served,
      wish,
    );
    if (compact !== undefined) addAnswerHeaders(c, { 'Edgewise-Receipt': compact });
    return c.json(acceptance, compact === undefined ? 200 : 201, ownOnly);
  });

  app.get('/acceptances', async (c) => {
    const caller = tenantOf(await identifyCaller(c, services));
    requireAccount(c, services, caller, 'read');
    const { acceptances } = await accountsOf(services).store.tenant(caller.tenant.id);
    return c.json({ acceptances }, 200, ownOnly);
  });

  app.delete('/acceptances/:id', async (c) => {
    const caller = tenantOf(await identifyCaller(c, services));
    requireAccount(c, services, caller, 'manage');
    const accounts = accountsOf(services);
    const { acceptance, compact } = await withdraw(
      accounts,
      recorderOf(services, recorded),
      caller,
      c.req.param('id'),
    );
    if (compact !== undefined) addAnswerHeaders(c, { 'Edgewise-Receipt': compact });
    return c.json(acceptance, 200, ownOnly);
  });
  return app;
}

/** It is one tenant's. */
const ownOnly = { 'Cache-Control': 'no-store' };

/** The text comes from a publisher: a browser is to show it as text, and to run nothing of it. */
const textHeaders = {
  'Content-Type': 'text/plain; charset=utf-8',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; sandbox",
  'Cache-Control': 'private, max-age=31536000, immutable',
};

function textAnswer(bytes: Uint8Array<ArrayBuffer>, digest: Digest): Response {
  return new Response(bytes, { headers: { ...textHeaders, ETag: `"${digest}"` } });
}

async function visible(
  c: AppContext,
  services: Services,
  name: string,
  version: string | undefined,
): Promise<ResolvedModel> {
  requireUse(await identifyCaller(c, services), name, services.settings);
  return services.repository.resolvePublished(name, version);
}

/**
 * The licence text of any published version of the model: also one that is served no more, since somebody may have
 * accepted it. Nothing else that is stored can be had so.
 *
 * @throws EdgewiseError `not_found`
 */
async function licenceText(
  c: AppContext,
  services: Services,
  name: string,
  digest: Digest,
): Promise<Uint8Array<ArrayBuffer>> {
  const { blobs, repository, settings } = services;
  requireUse(await identifyCaller(c, services), name, settings);
  for (const { version } of (await repository.index(name)).versions) {
    const found = await unlessRefused(() => repository.version(name, version));
    if (found?.manifest.terms.licence.text !== digest) continue;
    const bytes = await blobs.get(digest);
    if (bytes !== undefined) return bytes;
  }
  throw new EdgewiseError('not_found', `model "${name}" has no licence text ${digest}`);
}

async function servedManifests({ repository }: Services, name: string): Promise<readonly Manifest[]> {
  const served: Manifest[] = [];
  for (const version of servedVersions(await repository.index(name))) {
    const found = await unlessRefused(() => repository.resolvePublished(name, version));
    if (found !== undefined) served.push(found.manifest);
  }
  return served;
}

/** Undefined of a version that nobody is served: one from before there were terms, or whose signature is not valid. */
async function unlessRefused<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    const { code } = toEdgewiseError(error);
    if (code === 'policy_refused' || code === 'signature_invalid') return undefined;
    throw error;
  }
}

/** @throws EdgewiseError `unauthenticated` without a key, `forbidden` with one that is no tenant's. */
function tenantOf(caller: Caller): TenantCaller {
  if (caller.kind === 'tenant') return caller;
  throw new EdgewiseError(
    caller.kind === 'anonymous' ? 'unauthenticated' : 'forbidden',
    'licences are accepted by tenants, send "Authorization: Bearer <key of a tenant>"',
  );
}

function recorderOf({ governance }: Services, recorded: RecordAcceptance | undefined): RecordAcceptance {
  if (recorded !== undefined) return recorded;
  if (governance === undefined) {
    throw new EdgewiseError('not_found', 'this server keeps no record of acceptances');
  }
  return createAcceptanceRecorder(governance);
}
