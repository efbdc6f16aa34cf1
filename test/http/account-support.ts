/** Requests of tests that are about who calls. */
import { z } from 'zod';
import { adminKey, bearer, type TestService } from '../support/services.ts';

export interface Answer {
  readonly status: number;
  readonly error: string | null;
  readonly headers: Headers;
  readonly text: string;
  readonly body: unknown;
}

const issued = z.object({ key: z.object({ id: z.string() }), text: z.string() });

export interface Asking {
  ask(method: string, path: string, key?: string, document?: unknown): Promise<Answer>;
  /** With the admin key, under `/admin`. */
  admin(method: string, path: string, document?: unknown): Promise<Answer>;
  /** A new key of tenant `acme`, which is made if it does not exist. */
  newKey(scopes?: object): Promise<{ readonly id: string; readonly text: string }>;
}

export function asking(service: () => TestService): Asking {
  async function ask(method: string, path: string, key?: string, document?: unknown): Promise<Answer> {
    const answer = await service().fetch(path, {
      method,
      headers: key === undefined ? {} : bearer(key),
      ...(document === undefined ? {} : { body: JSON.stringify(document) }),
    });
    const text = await answer.text();
    return {
      status: answer.status,
      error: answer.headers.get('Edgewise-Error'),
      headers: answer.headers,
      text,
      body: text === '' ? undefined : JSON.parse(text),
    };
  }
  const admin: Asking['admin'] = (method, path, document) => ask(method, `/admin${path}`, adminKey, document);
  return {
    ask,
    admin,
    async newKey(scopes = {}) {
      await admin('POST', '/tenants', { id: 'acme', name: 'Acme' });
      return textOf(await admin('POST', '/tenants/acme/keys', { scopes }));
    },
  };
}

/** The body of an answer that issues a key. */
export function textOf({ body }: Answer): { readonly id: string; readonly text: string } {
  const { key, text } = issued.parse(body);
  return { id: key.id, text };
}
