/** Which jurisdiction a request is bound to: by whose it is, by what it says, or by both; and whether that is here. */
import { EdgewiseError } from '../../errors.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import { isJurisdiction } from '../../repository/territories.ts';

/**
 * A tenant's residency binds whatever it sends, the `Edgewise-Jurisdiction` header one request. Where both do they must
 * agree: nobody is under two laws at once, and neither is passed over for the other.
 *
 * A header says where the request is computed. A tenant's residency says where its records lie, too: its account, its
 * receipts and its meters are in the storage of the edge that serves it, so no other edge does, not even to pass it on.
 *
 * To be asked before the body is read.
 *
 * @param here Whose law this server and its storage stand under; undefined: none in particular.
 * @throws EdgewiseError `residency_unavailable`; `invalid_request` for a header that cannot be read.
 */
export function residencyOf(
  caller: Caller,
  header: string | undefined,
  here: string | undefined,
): string | undefined {
  const asked = jurisdictionBond(header);
  const bond = caller.kind === 'tenant' ? caller.tenant.residency : undefined;
  if (bond === undefined) return asked;
  if (asked !== undefined && asked !== bond) {
    throw new EdgewiseError(
      'residency_unavailable',
      `the header Edgewise-Jurisdiction asks for "${asked}", and the tenant is bound to "${bond}": wanted the same, or no header`,
    );
  }
  if (bond !== here) {
    throw new EdgewiseError(
      'residency_unavailable',
      `the tenant is bound to "${bond}", and this server is not there: wanted one whose storage is`,
    );
  }
  return bond;
}

/**
 * For what this server does itself and passes on to no other.
 *
 * @throws EdgewiseError as `residencyOf`; `residency_unavailable` for a request that is bound to another place.
 */
export function requireHere(caller: Caller, header: string | undefined, here: string | undefined): void {
  const bond = residencyOf(caller, header, here);
  if (bond === undefined || bond === here) return;
  throw new EdgewiseError(
    'residency_unavailable',
    `the request is bound to "${bond}", and this server, which alone would answer it, is not there`,
  );
}

/**
 * The `Edgewise-Jurisdiction` header: the request may be computed under this law alone.
 *
 * @throws EdgewiseError `invalid_request`: a bond that cannot be read is not taken for none.
 */
export function jurisdictionBond(header: string | undefined): string | undefined {
  if (header === undefined || isJurisdiction(header)) return header;
  throw new EdgewiseError(
    'invalid_request',
    `the header Edgewise-Jurisdiction is ${JSON.stringify(header.slice(0, 40))}, wanted "eu", a country as ISO 3166 has it ("de"), or a longer name in lower-case letters`,
  );
}
