import { OpenAPIHono } from '@hono/zod-openapi';
import type { Hono } from 'hono';
import { cors } from 'hono/cors';
import { EdgewiseError, isEdgewiseError } from '../errors.ts';
import { type AppContext, type AppEnv, identifyRequest } from './context.ts';
import { oipErrorResponse, toHttpError } from './error-response.ts';
import { endConnections } from './lifecycle.ts';
import { reportLoad } from './load-report.ts';
import { type ApiDocument, describeApi, registerComponents } from './openapi/document.ts';
import { escapeOrgName } from './org-names.ts';
import { signAnswers } from './record/sign-answer.ts';
import { accountRoutes } from './routes/accounts.ts';
import { aliasRoutes } from './routes/aliases.ts';
import { blobRoutes } from './routes/blobs.ts';
import { disputeRoutes } from './routes/disputes.ts';
import { grantRoutes } from './routes/grants.ts';
import { licenceRoutes } from './routes/licences.ts';
import { logRoutes } from './routes/log.ts';
import { meRoutes } from './routes/me.ts';
import { modelFileRoutes } from './routes/model-files.ts';
import { oipRoutes } from './routes/oip.ts';
import { policyRoutes } from './routes/policy.ts';
import { poolRoutes } from './routes/pool.ts';
import { publishedModelRoutes } from './routes/published-models.ts';
import { receiptRoutes } from './routes/receipts.ts';
import { repositoryRoutes } from './routes/repository.ts';
import { serverRoutes } from './routes/server.ts';
import { statementRoutes } from './routes/statements.ts';
import { subjectRoutes } from './routes/subjects.ts';
import type { Services } from './services.ts';

/** The whole HTTP service over `services`: the same app on every platform. */
export function createApp(services: Services): OpenAPIHono<AppEnv> {
  const app = new OpenAPIHono<AppEnv>();
  addMiddleware(app, services);
  registerComponents(app);
  let document: ApiDocument | undefined;
  const describe = () => {
    document ??= describeApi(app, services.settings);
    return document;
  };
  for (const routes of allRoutes(services, describe)) app.route('/', routes);
  refuseOtherMethods(app);
  app.notFound((c) => {
    const path = escapeOrgName(c.req.path, c.req.method);
    return path === undefined ? unknownPath(c) : answerForOrgModel(c, app, path);
  });
  app.onError((error, c) => logAndRefuse(error, c, services));
  return app;
}

function addMiddleware(app: Hono<AppEnv>, services: Services): void {
  const { bodies, lifecycle, settings, tier } = services;
  app.use(identifyRequest(bodies));
  if (lifecycle !== undefined) app.use(endConnections(lifecycle));
  if (tier === 'origin') app.use('/v2/models/*', reportLoad(services));
  if (settings.corsOrigins.length > 0) app.use(cors(corsOptions(settings.corsOrigins)));
  app.use(signAnswers(services));
}

/** The routes of every resource, in the order in which they are matched. */
function allRoutes(services: Services, describe: () => ApiDocument): OpenAPIHono<AppEnv>[] {
  const { governance } = services;
  return [
    serverRoutes(services, describe),
    oipRoutes(services),
    repositoryRoutes(services),
    meRoutes(services),
    subjectRoutes(services),
    licenceRoutes(services),
    receiptRoutes(services),
    disputeRoutes(services),
    statementRoutes(services),
    modelFileRoutes(services),
    ...(governance === undefined
      ? []
      : [logRoutes(services, governance.receipts, governance.logKey.verifierKey)]),
    blobRoutes(services),
    publishedModelRoutes(services),
    aliasRoutes(services),
    policyRoutes(services),
    poolRoutes(services),
    accountRoutes(services),
    grantRoutes(services),
  ];
}

/** Answers for the model `org/name`. If there is no such model, the refusal names the path as it was sent. */
async function answerForOrgModel(c: AppContext, app: Hono<AppEnv>, path: string): Promise<Response> {
  const answer = await app.fetch(withPath(c, path), c.env);
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

/** Returns the same request for another path, with the same id. */
function withPath(c: AppContext, path: string): Request {
  const url = new URL(c.req.url);
  url.pathname = path;
  const request = new Request(url, c.req.raw);
  request.headers.set('X-Request-Id', c.get('requestId'));
  return request;
}

function logAndRefuse(error: unknown, c: AppContext, { logger }: Services): Response {
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

/** Reports whether all servers of a jurisdiction are down: a refusal to the caller, but an error to the operator. */
function isOutage(error: unknown): boolean {
  return isEdgewiseError(error) && error.code === 'residency_unavailable' && error.cause !== undefined;
}

/** Refuses other methods of known paths, and lists the methods that a path has (RFC 9110 §15.5.6). */
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
          `${c.req.method} is not a method of ${c.req.path}; expected one of ${allow}`,
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
