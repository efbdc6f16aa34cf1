/** How routes are declared: once, which checks their requests, types their handlers and describes them. */
import {
  OpenAPIHono,
  type RouteConfig,
  type RouteConfigToTypedResponse,
  type RouteHandler,
} from '@hono/zod-openapi';
import type { TypedResponse } from 'hono';
import type { StatusCode } from 'hono/utils/http-status';
import type { Caller, TenantCaller } from '../../governance/accounts/caller.ts';
import { readsRepository, requireAdmin } from '../caller/access.ts';
import { authenticate } from '../caller/authenticate.ts';
import { identifyCaller } from '../caller/identify.ts';
import type { AppContext, AppEnv } from '../context.ts';
import { adminKey, callerKey } from '../openapi/document.ts';
import { type RefusalStatus, refusals } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { checkRequest } from './check-request.ts';
import { requireTenant } from './requirements.ts';

/** The context of a request that matches the declaration: `c.req.valid` returns what was checked. */
type ContextOf<R extends RouteConfig> = Parameters<RouteHandler<R, AppEnv>>[0];

type MediaTypeOf<R extends RouteConfig> = {
  [S in keyof R['responses']]: R['responses'][S] extends { content: infer C } ? keyof C : never;
}[keyof R['responses']];

type WithoutBody = Response & TypedResponse<null | undefined, StatusCode, 'body' | 'redirect'>;

/** What a handler returns: a declared response. Only JSON bodies are typed. */
type AnswerOf<R extends RouteConfig> =
  | RouteConfigToTypedResponse<R>
  | WithoutBody
  | ([MediaTypeOf<R>] extends ['application/json'] ? never : Response);

type Handle<R extends RouteConfig, A extends readonly unknown[] = []> = (
  c: ContextOf<R>,
  ...args: A
) => AnswerOf<R> | Promise<AnswerOf<R>>;

type Security = NonNullable<RouteConfig['security']>;

interface Access {
  readonly security: Security;
  readonly statuses: readonly RefusalStatus[];
}

/** What each kind of route adds to its description. */
const everyone: Access = { security: [], statuses: [500] };
const anyCaller: Access = { security: [{}, callerKey, adminKey], statuses: [401, 403, 429, 451, 500, 503] };
const tenants: Access = { ...anyCaller, security: [callerKey] };
const administrators: Access = { security: [adminKey], statuses: [401, 403, 429, 500, 503] };
const repositoryReaders: Access = { ...administrators, security: [adminKey, callerKey] };

/**
 * The routes of one resource. Each method below registers a route together with who may call it, so that the description
 * cannot differ from what is enforced. The order is: the caller, the path and query, the body, the handler.
 */
export class ApiRoutes {
  readonly app = new OpenAPIHono<AppEnv>();
  readonly #services: Services;

  constructor(services: Services) {
    this.#services = services;
  }

  /** A route that asks nothing about its caller. */
  open<R extends RouteConfig>(route: R, handle: Handle<R>): void {
    this.#add<R, []>(route, everyone, async () => [], handle);
  }

  /** A route for callers with or without a key, counted against their rate. */
  forCaller<R extends RouteConfig>(route: R, handle: Handle<R, [Caller]>): void {
    this.#add<R, [Caller]>(route, anyCaller, async (c) => [await identifyCaller(c, this.#services)], handle);
  }

  /** A route for tenants, with a key or a token of theirs. */
  forTenant<R extends RouteConfig>(route: R, handle: Handle<R, [TenantCaller]>): void {
    const identify = async (c: AppContext): Promise<[TenantCaller]> => [
      requireTenant(await identifyCaller(c, this.#services)),
    ];
    this.#add(route, tenants, identify, handle);
  }

  /** A route for the admin key. Off if none is configured. */
  forAdmin<R extends RouteConfig>(route: R, handle: Handle<R>): void {
    const identify = async (c: AppContext): Promise<[]> => {
      requireAdmin(await authenticate(c.req, this.#services), this.#services.settings);
      return [];
    };
    this.#add(route, administrators, identify, handle);
  }

  /** A route that another server of the operator reads models from: for the admin key, and keys with that scope. */
  forRepositoryReader<R extends RouteConfig>(route: R, handle: Handle<R>): void {
    const identify = async (c: AppContext): Promise<[]> => {
      const caller = await authenticate(c.req, this.#services);
      if (!readsRepository(caller)) requireAdmin(caller, this.#services.settings);
      return [];
    };
    this.#add(route, repositoryReaders, identify, handle);
  }

  /** A route for callers whose handler identifies them and parses the whole request itself: the path of inference. */
  unchecked<R extends RouteConfig>(route: R, handle: (c: AppContext) => Promise<Response>): void {
    this.app.openAPIRegistry.registerPath(described(route, anyCaller));
    this.app.on([route.method], [routingPath(route)], handle);
  }

  /** Describes HEAD, which Hono answers by the route of GET. */
  describeHead<R extends RouteConfig>(route: R): void {
    this.app.openAPIRegistry.registerPath(described(route, repositoryReaders));
  }

  #add<R extends RouteConfig, A extends readonly unknown[]>(
    route: R,
    access: Access,
    identify: (c: AppContext) => Promise<A>,
    handle: Handle<R, A>,
  ): void {
    this.app.openAPIRegistry.registerPath(described(route, access));
    this.app.on([route.method], [routingPath(route)], async (c) => {
      const args = await identify(c);
      await checkRequest(c, route.request);
      return (await handle(c as ContextOf<R>, ...args)) as Response;
    });
  }
}

/** A path parameter named `path` spans several segments. */
function routingPath({ path }: RouteConfig): string {
  return path.replaceAll('/{path}', '/:path{.+}').replaceAll(/\/{(.+?)}/g, '/:$1');
}

/** The route with its security and the errors that come of its access and its request. */
function described(route: RouteConfig, { security, statuses }: Access): RouteConfig {
  const { body, params, query, headers } = route.request ?? {};
  const isChecked = [body, params, query, headers].some((part) => part !== undefined);
  return {
    ...route,
    security,
    responses: {
      ...refusals(...statuses),
      ...(isChecked ? refusals(400) : {}),
      ...(body === undefined ? {} : refusals(400, 408, 413, 415, 429)),
      ...route.responses,
    },
  };
}
