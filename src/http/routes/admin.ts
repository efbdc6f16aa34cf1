/**
 * Publishing and control. Every route wants the admin key; without one configured they are off. What a server reads that
 * serves the same models, a key for reading the repository opens as well.
 */
import { Hono } from 'hono';
import { z } from 'zod';
import { EdgewiseError } from '../../errors.ts';
import { versionPolicySchema } from '../../repository/common-schema.ts';
import { servedVersions } from '../../repository/index/version-policy.ts';
import { isAliasName, isModelVersion } from '../../repository/name.ts';
import { type Manifest, manifestSchema } from '../../repository/schema.ts';
import { maxBundleBytes } from '../../repository/signing/bundle.ts';
import { hasUnstatedRoyalty } from '../../repository/terms.ts';
import { parseDigest } from '../../storage/digest.ts';
import { readBody } from '../body/request-body.ts';
import { readsRepository, requireAdmin } from '../caller/access.ts';
import { authenticate } from '../caller/authenticate.ts';
import type { AppContext, AppEnv } from '../context.ts';
import type { Services } from '../services.ts';
import { accountRoutes } from './accounts.ts';
import { nameOf, readDocument } from './admin-request.ts';
import { aliasRoutes } from './aliases.ts';
import { pageHeaders, pageOf } from './page.ts';
import { policyRoutes } from './policy.ts';
import { statementAdminRoutes } from './statements.ts';
import { subjectAdminRoutes } from './subjects.ts';

const maxBlobBytes = 16 * 1024 * 1024;
const publishBody = z.strictObject({
  manifest: manifestSchema,
  /** The text of `model.sig`. */
  signature: z.string().max(maxBundleBytes),
  aliases: z
    .array(z.string().refine(isAliasName, 'wanted lower-case letters, digits and dashes'))
    .default([]),
  versionPolicy: versionPolicySchema.optional(),
});

export function adminRoutes(services: Services): Hono<AppEnv> {
  const { repository, publisher, blobs, settings } = services;
  const app = new Hono<AppEnv>();

  app.use(async (c, next) => {
    const caller = await authenticate(c.req, services);
    if (!(isRepositoryRead(c) && readsRepository(caller))) requireAdmin(caller, settings);
    await next();
  });

  app.get('/blobs/:digest', async (c) => {
    const digest = parseDigest(c.req.param('digest'));
    // Hono answers HEAD by the GET route; nothing is read for it.
    if (c.req.method === 'HEAD') {
      return (await publisher.hasBlob(digest)) ? c.body(null) : c.notFound();
    }
    const bytes = await blobs.get(digest);
    if (bytes === undefined) {
      throw new EdgewiseError('not_found', `blob ${digest} is not stored here`);
    }
    return c.body(bytes, 200, { 'Content-Type': 'application/octet-stream' });
  });

  app.put('/blobs/:digest', async (c) => {
    const digest = parseDigest(c.req.param('digest'));
    const had = await publisher.hasBlob(digest);
    const body = await readBody(c, { maxBytes: maxBlobBytes, maxDecompressedBytes: maxBlobBytes });
    await publisher.putBlob(digest, body);
    return c.json({ digest, status: had ? 'unchanged' : 'created' }, had ? 200 : 201);
  });

  app.get('/pool', (c) => {
    const { engineStops, stopped } = services.pool.snapshot();
    const engine = { isAvailable: services.pool.isAvailable(), stops: engineStops, stopped };
    return c.json({ ...(services.origin?.snapshot() ?? { endpoints: [] }), engine });
  });

  app.get('/models', async (c) => {
    const page = pageOf(c);
    const { indexes, next } = await repository.page(page);
    return c.json({ models: indexes, next: next ?? null }, 200, pageHeaders('/admin/models', page, next));
  });

  app.get('/models/:name', async (c) => {
    const name = nameOf(c);
    repository.invalidate(name);
    const index = await repository.index(name);
    return c.json({ index, served: servedVersions(index) });
  });

  app.delete('/models/:name', async (c) => {
    const name = nameOf(c);
    await publisher.removeModel(name);
    repository.invalidate(name);
    return c.json({ status: 'removed' });
  });

  app.get('/models/:name/versions/:version', async (c) => {
    const { manifest, manifestDigest, signature } = await repository.version(
      nameOf(c),
      c.req.param('version'),
    );
    return c.json({ manifest, digest: manifestDigest, signature });
  });

  app.put('/models/:name/versions/:version', async (c) => {
    const name = nameOf(c);
    const { manifest, signature, aliases, versionPolicy } = await readDocument(c, publishBody);
    checkAddress(manifest, name, c.req.param('version'));
    checkRoyalty(manifest);
    const status = await publisher.publishVersion(
      manifest,
      new Uint8Array(new TextEncoder().encode(signature)),
      {
        aliases,
        ...(versionPolicy === undefined ? {} : { versionPolicy }),
      },
    );
    repository.invalidate(name);
    repository.refreshListing();
    return c.json({ status }, status === 'created' ? 201 : 200);
  });

  app.delete('/models/:name/versions/:version', async (c) => {
    const name = nameOf(c);
    const version = c.req.param('version');
    // An alias here would remove nothing, and the answer say that it is gone.
    if (!isModelVersion(version)) {
      throw new EdgewiseError(
        'invalid_request',
        `version ${JSON.stringify(version.slice(0, 100))} cannot be removed, wanted a positive whole number`,
      );
    }
    await publisher.removeVersion(name, version);
    repository.invalidate(name);
    return c.json({ status: 'removed' });
  });

  app.put('/models/:name/version-policy', async (c) => {
    const name = nameOf(c);
    await publisher.setVersionPolicy(name, await readDocument(c, versionPolicySchema));
    repository.invalidate(name);
    return c.json({ status: 'set' });
  });

  app.route('/models/:name/aliases/:alias', aliasRoutes(services));
  app.route('/', accountRoutes(services));
  app.route('/', statementAdminRoutes(services));
  app.route('/', subjectAdminRoutes(services));
  app.route('/', policyRoutes(services));

  app.get('/models/:name/shadows', (c) => {
    return c.json({ shadows: services.shadows?.figures.of(nameOf(c)) ?? [] });
  });

  return app;
}

/** Blobs, indexes and manifests: what another server reads to serve the same models, and nothing else. */
const repositoryPath = /^\/admin\/(?:blobs\/[^/]+|models(?:\/[^/]+(?:\/versions\/[^/]+)?)?)$/;

function isRepositoryRead({ req }: AppContext): boolean {
  return (req.method === 'GET' || req.method === 'HEAD') && repositoryPath.test(req.path);
}

function checkRoyalty({ name, terms, version }: Manifest): void {
  if (!hasUnstatedRoyalty(terms)) return;
  throw new EdgewiseError(
    'invalid_request',
    `${name}@${version} has a royalty and can be used by its licence alone, of which no statement is made; expected terms.grant "required" beside terms.royalty`,
  );
}

function checkAddress(manifest: Manifest, name: string, version: string): void {
  if (manifest.name !== name || manifest.version !== version) {
    throw new EdgewiseError(
      'invalid_request',
      `the manifest is of ${manifest.name}@${manifest.version}, the address of ${name}@${version}: wanted the same`,
    );
  }
}
