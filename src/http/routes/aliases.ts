/** What an alias points to, how it splits its traffic, and where copies of it go. Mounted behind the admin key. */
import { Hono } from 'hono';
import { z } from 'zod';
import { isModelVersion } from '../../repository/name.ts';
import { shadowSchema, splitSchema } from '../../repository/schema.ts';
import type { AppContext, AppEnv } from '../context.ts';
import type { Services } from '../services.ts';
import { aliasOf, nameOf, readDocument } from './admin-request.ts';

const aliasBody = z.strictObject({
  version: z.string().refine(isModelVersion, 'wanted a positive whole number'),
});

export function aliasRoutes({ publisher, repository }: Services): Hono<AppEnv> {
  const app = new Hono<AppEnv>();

  async function changed(
    c: AppContext,
    status: 'set' | 'removed',
    change: (name: string, alias: string) => Promise<void>,
  ): Promise<Response> {
    const name = nameOf(c);
    await change(name, aliasOf(c));
    repository.invalidate(name);
    return c.json({ status });
  }

  app.put('/', (c) =>
    changed(c, 'set', async (name, alias) => {
      const { version } = await readDocument(c, aliasBody);
      await publisher.setAlias(name, alias, version);
    }),
  );
  app.delete('/', (c) => changed(c, 'removed', (name, alias) => publisher.removeAlias(name, alias)));

  app.put('/split', (c) =>
    changed(c, 'set', async (name, alias) => {
      await publisher.setSplit(name, alias, await readDocument(c, splitSchema));
    }),
  );
  app.delete('/split', (c) => changed(c, 'removed', (name, alias) => publisher.removeSplit(name, alias)));

  app.put('/shadow', (c) =>
    changed(c, 'set', async (name, alias) => {
      await publisher.setShadow(name, alias, await readDocument(c, shadowSchema));
    }),
  );
  app.delete('/shadow', (c) => changed(c, 'removed', (name, alias) => publisher.removeShadow(name, alias)));

  return app;
}
