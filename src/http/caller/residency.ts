/** The jurisdiction that a request is bound to, by its tenant or by its header, and whether this server is in it. */
import { EdgewiseError } from '../../errors.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import { isJurisdiction } from '../../repository/territories.ts';

/**
 * Returns the jurisdiction that the request is bound to; undefined if it is bound to none. A tenant's residency binds every
 * request of the tenant, the `Edgewise-Jurisdiction` header binds one request; if both are set they must agree.
 *
 * The header says where the request is computed. A tenant's residency also says where its records are stored: its account,
 * receipts and meters are in the storage of the edge that serves it, so another edge refuses the request rather than
 * passing it on. Call before the body is read.
 *
 * @param here The jurisdiction of this server and its storage; undefined if it has none.
 * @throws EdgewiseError `residency_unavailable`; `invalid_request` for a header that cannot be read
 */
export function residencyOf(
  caller: Caller,
  header: string | undefined,
  here: string | undefined,
): string | undefined {
  const asked = readJurisdiction(header);
  const bond = caller.kind === 'tenant' ? caller.tenant.residency : undefined;
  if (bond === undefined) return asked;
  if (asked !== undefined && asked !== bond) {
    throw new EdgewiseError(
      'residency_unavailable',
      `the header Edgewise-Jurisdiction asks for "${asked}", but the tenant is bound to "${bond}"; expected the same, or no header`,
    );
  }
  if (bond !== here) {
    throw new EdgewiseError(
      'residency_unavailable',
      `the tenant is bound to "${bond}", and this server is not there; expected a server whose storage is in "${bond}"`,
    );
  }
  return bond;
}

/**
 * Checks a request that only this server can answer.
 *
 * @throws EdgewiseError as `residencyOf`; `residency_unavailable` for a request that is bound to another jurisdiction
 */
export function requireHere(caller: Caller, header: string | undefined, here: string | undefined): void {
  const bond = residencyOf(caller, header, here);
  if (bond === undefined || bond === here) return;
  throw new EdgewiseError(
    'residency_unavailable',
    `the request is bound to "${bond}", and this server, which alone can answer it, is not there`,
  );
}

/**
 * Reads the `Edgewise-Jurisdiction` header: the request may be computed in this jurisdiction only.
 *
 * @throws EdgewiseError `invalid_request`: an unreadable header is not treated as absent
 */
function readJurisdiction(header: string | undefined): string | undefined {
  if (header === undefined || isJurisdiction(header)) return header;
  throw new EdgewiseError(
    'invalid_request',
    `the header Edgewise-Jurisdiction is ${JSON.stringify(header.slice(0, 40))}, expected "eu", an ISO 3166 country code ("de"), or a longer name in lower-case letters`,
  );
}
