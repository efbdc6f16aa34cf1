import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { EdgewiseError, isEdgewiseError } from '../errors.ts';
import { type AppContext, type AppEnv, identifyRequest } from './context.ts';
import { oipErrorResponse, toHttpError } from './error-response.ts';
import { endConnections } from './lifecycle.ts';
import { reportLoad } from './load-report.ts';
import { docsPage } from './openapi/docs-page.ts';
import { openApiDocument } from './openapi/document.ts';
import { escapeOrgName } from './org-names.ts';
import { signAnswers } from './record/sign-answer.ts';
import { adminRoutes } from './routes/admin.ts';
import { disputeRoutes } from './routes/disputes.ts';
import { answerFront } from './routes/front.ts';
import { licenceRoutes } from './routes/licences.ts';
import { logRoutes } from './routes/log.ts';
import { meRoutes } from './routes/me.ts';
import { modelFileRoutes } from './routes/model-files.ts';
import { describeServer, oipRoutes } from './routes/oip.ts';
import { receiptKeyRoutes, receiptRoutes } from './routes/receipts.ts';
import { repositoryRoutes } from './routes/repository.ts';
import { statementRoutes } from './routes/statements.ts';
import { privacyRoutes, subjectRoutes } from './routes/subjects.ts';
import type { Services } from './services.ts';

/** The whole HTTP service over `services`: the same app on every platform. */
export function createApp(services: Services): Hono<AppEnv> {
  const { lifecycle, settings, tier } = services;
  const app = new Hono<AppEnv>();
  app.use(identifyRequest(services.bodies));
  if (lifecycle !== undefined) {
    app.use(endConnections(lifecycle));
  }
  if (tier === 'origin') {
    app.use('/v2/models/*', reportLoad(services));
  }
  if (settings.corsOrigins.length > 0) {
    app.use(cors(corsOptions(settings.corsOrigins)));
  }
  app.use(signAnswers(services));
  app.route('/v2', oipRoutes(services));
  // The specification's yaml writes it with a slash, which a mounted router cannot say.
  app.get('/v2/', (c) => c.json(describeServer(services)));
  app.route('/v2/repository', repositoryRoutes(services));
  app.route('/v1', meRoutes(services));
  app.route('/v1', subjectRoutes(services));
  app.route('/.well-known', privacyRoutes(services));
  app.route('/v1', licenceRoutes(services));
  app.route('/v1', receiptRoutes(services));
  app.route('/v1', disputeRoutes(services));
  app.route('/v1', statementRoutes(services));
  app.route('/.well-known', receiptKeyRoutes(services));
  app.route('/v1/models', modelFileRoutes(services));
  if (services.governance !== undefined) {
    const { logKey, receipts } = services.governance;
    app.route('/log', logRoutes(receipts, logKey.verifierKey));
  }
  app.route('/admin', adminRoutes(services));
  app.get('/', (c) => answerFront(c, services));
  app.get('/openapi.json', (c) => c.json(openApiDocument(settings)));
  app.get('/docs', (c) => c.html(docsPage(settings, new URL(c.req.url).origin)));
  refuseOtherMethods(app);
  app.notFound((c) => {
    const path = escapeOrgName(c.req.path, c.req.method);
    return path === undefined ? unknownPath(c) : asOrgModel(c, app, path);
  });
  app.onError((error, c) => failed(error, c, services));
  return app;
}

/** The answer for the model `org/name`; where there is none, one for the path as it was sent, which may have meant another thing. */
async function asOrgModel(c: AppContext, app: Hono<AppEnv>, path: string): Promise<Response> {
  const answer = await app.fetch(redirected(c, path), c.env);
  const isUnknown = answer.headers.get('Edgewise-Error') === 'model_not_found';
  if (!isUnknown || !isBareModel(path)) return answer;
  const [, name = ''] = /([^/]+)$/.exec(path) ?? [];
  return oipErrorResponse(
    new EdgewiseError(
      'model_not_found',
      `there is no ${c.req.path} here, and no model "${decodeURIComponent(name)}"`,
    ),
  );
}

function isBareModel(path: string): boolean {
  return /^\/v2\/models\/[^/]+$/.test(path);
}

function unknownPath(c: AppContext): Response {
  return oipErrorResponse(new EdgewiseError('not_found', `there is no ${c.req.path} here`));
}

/** The same request for another path, under the same id. */
function redirected(c: AppContext, path: string): Request {
  const url = new URL(c.req.url);
  url.pathname = path;
  const request = new Request(url, c.req.raw);
  request.headers.set('X-Request-Id', c.get('requestId'));
  return request;
}

function failed(error: unknown, c: AppContext, { logger }: Services): Response {
  const { status, code } = toHttpError(error);
  const isOurs = status >= 500 || isOutage(error);
  logger.write({
    level: isOurs ? 'error' : 'info',
    event: 'request_failed',
    requestId: c.get('requestId'),
    method: c.req.method,
    route: c.req.routePath,
    status,
    code,
    cause: isOurs ? error : undefined,
  });
  return oipErrorResponse(error);
}

/** Servers of a jurisdiction that are down: a refusal to the caller, and for the operator to know of. */
function isOutage(error: unknown): boolean {
  return isEdgewiseError(error) && error.code === 'residency_unavailable' && error.cause !== undefined;
}

/** A known path asked with another method is told which it has (RFC 9110 §15.5.6). */
function refuseOtherMethods(app: Hono<AppEnv>): void {
  const methods = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    // 'ALL' marks middleware.
    if (method !== 'ALL') {
      methods.set(path, (methods.get(path) ?? new Set()).add(method));
    }
  }
  for (const [path, known] of methods) {
    if (known.has('GET')) {
      known.add('HEAD');
    }
    const allow = [...known].sort().join(', ');
    app.all(path, (c) => {
      const answer = oipErrorResponse(
        new EdgewiseError(
          'method_not_allowed',
          `${c.req.method} is not a method of ${c.req.path}, it has ${allow}`,
        ),
      );
      answer.headers.set('Allow', allow);
      return answer;
    });
  }
}

function corsOptions(origins: readonly string[]): Parameters<typeof cors>[0] {
  return {
    origin: origins.includes('*') ? '*' : [...origins],
    allowMethods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposeHeaders: [
      'Accept-Encoding',
      'Allow',
      'Content-Digest',
      'ETag',
      'Edgewise-AI-Generated',
      'Edgewise-Attribution',
      'Edgewise-Error',
      'Edgewise-Model',
      'Edgewise-Reason',
      'Edgewise-Receipt',
      'Edgewise-Receipt-Id',
      'Edgewise-Receipt-Proof',
      'Edgewise-Receipt-Salt',
      'Edgewise-Tier',
      'Inference-Header-Content-Length',
      'Link',
      'Preference-Applied',
      'RateLimit',
      'RateLimit-Policy',
      'Retry-After',
      'Server-Timing',
      'Signature',
      'Signature-Input',
      'WWW-Authenticate',
      'X-Request-Id',
      'traceparent',
      'x-ratelimit-limit-requests',
      'x-ratelimit-remaining-requests',
      'x-ratelimit-reset-requests',
    ],
    maxAge: 600,
  };
}
