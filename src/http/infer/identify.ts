/** Stage 1: who calls, and whether the caller may use a model of this name. */
import { requireUse } from '../caller/access.ts';
import { identifyCaller } from '../caller/identify.ts';
import type { ArrivedRequest, IdentifiedRequest } from './request.ts';

/** @throws EdgewiseError as `identifyCaller` and `requireUse` */
export async function identify(request: ArrivedRequest): Promise<IdentifiedRequest> {
  const { c, name, services } = request;
  const caller = await identifyCaller(c, services);
  requireUse(caller, name, services.settings);
  return { ...request, caller };
}
