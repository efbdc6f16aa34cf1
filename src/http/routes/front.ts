/** `GET /`: where a person, or a program, finds the rest. */
import { accepts } from 'hono/accepts';
import type { AppContext } from '../context.ts';
import type { Services } from '../services.ts';
import { describeServer } from './oip.ts';

/** Sends a browser to the reference page; tells a program who answers here, and where to read on. */
export function answerFront(c: AppContext, services: Services): Response {
  const header = 'Accept';
  const supports = ['application/json', 'text/html'];
  c.header('Vary', header, { append: true });
  if (accepts(c, { header, supports, default: 'application/json' }) === 'text/html')
    return c.redirect('/docs');
  return c.json({
    ...describeServer(services),
    links: { reference: '/docs', openapi: '/openapi.json', models: '/v2/models', ready: '/v2/health/ready' },
  });
}
