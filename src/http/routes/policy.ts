/** What stands above licences: the stop switch, and policy packs. Mounted behind the admin key. */
import { Hono } from 'hono';
import { z } from 'zod';
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import { foresee, momentOf } from '../../governance/policy/dry-run.ts';
import { type DryRun, stopReasonSchema } from '../../governance/policy/schema.ts';
import { servedVersions } from '../../repository/index/version-policy.ts';
import type { Manifest } from '../../repository/schema.ts';
import type { AppEnv } from '../context.ts';
import type { Governance } from '../record/governance.ts';
import type { Services } from '../services.ts';
import { nameOf, readDocument } from './admin-request.ts';

export const stopBody = z.strictObject({ reason: stopReasonSchema });

export function policyRoutes(services: Services): Hono<AppEnv> {
  const app = new Hono<AppEnv>();

  app.get('/stops', async (c) => c.json({ stops: await policyOf(services).stops.all() }));
  app.put('/models/:name/stop', async (c) => {
    const { reason } = await readDocument(c, stopBody);
    return c.json(await policyOf(services).stops.stop(nameOf(c), reason));
  });
  app.delete('/models/:name/stop', async (c) =>
    c.json({ wasStopped: await policyOf(services).stops.resume(nameOf(c)) }),
  );

  app.get('/packs', (c) => c.json({ packs: policyOf(services).packs }));
  app.get('/packs/dry-run', async (c) => {
    const { packs, now } = policyOf(services);
    const asked = c.req.query('at');
    const at = asked === undefined ? now() : momentOf(asked);
    const { manifests, notServed } = await allServed(services);
    const answer: DryRun = {
      at: new Date(at).toISOString(),
      versions: manifests.length,
      refused: [...foresee(manifests, packs, { at, now: now() })],
      notServed,
    };
    return c.json(answer);
  });
  return app;
}

/** @throws EdgewiseError `not_found` where this server decides nothing of that kind. */
function policyOf({ governance }: Services): Pick<Governance, 'stops' | 'packs' | 'now'> {
  if (governance === undefined) {
    throw new EdgewiseError(
      'not_found',
      'this server keeps no stop switch and no policy packs: its edges do',
    );
  }
  return governance;
}

/** Every version that callers can ask for now, of every model; and those which are refused whatever packs say. */
async function allServed({ repository }: Services) {
  const manifests: Manifest[] = [];
  const notServed: DryRun['notServed'] = [];
  for (const index of await repository.list()) {
    for (const version of servedVersions(index)) {
      try {
        manifests.push((await repository.version(index.name, version)).manifest);
      } catch (error) {
        notServed.push({ model: index.name, version, code: toEdgewiseError(error).code });
      }
    }
  }
  return { manifests, notServed };
}
