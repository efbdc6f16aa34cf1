/** Accepts a licence text for a tenant, and withdraws an acceptance. An acceptance is on record before it takes effect. */
import { EdgewiseError } from '../../errors.ts';
import { commitToAcceptor, newAcceptanceSalt } from '../../governance/accounts/acceptance-commitment.ts';
import type { Accounts } from '../../governance/accounts/accounts.ts';
import type { TenantCaller } from '../../governance/accounts/caller.ts';
import { newId } from '../../governance/accounts/key-format.ts';
import type { Acceptance } from '../../governance/accounts/schema.ts';
import { coversModel } from '../../governance/accounts/scopes.ts';
import { wrapRecord } from '../../governance/log/appender.ts';
import type { IssuedReceipt } from '../../governance/receipt/issue.ts';
import type { Manifest } from '../../repository/schema.ts';
import type { Digest } from '../../storage/types.ts';
import { type Governance, logRecord } from './governance.ts';

/** Puts an acceptance, or its withdrawal, into the log durably. */
export type RecordAcceptance = (
  caller: TenantCaller,
  acceptance: Pick<Acceptance, 'id' | 'model' | 'spdx' | 'text' | 'method'> & { readonly by: string },
  outcome: 'accepted' | 'withdrawn',
) => Promise<Pick<IssuedReceipt, 'id' | 'compact'>>;

/** The returned function rejects with EdgewiseError `records_unavailable` if the log does not take the record. */
export function createAcceptanceRecorder(governance: Governance): RecordAcceptance {
  return async (caller, { id, model, spdx, text, by, method }, outcome) => {
    const issued = await governance.issuer.acceptance({
      atMs: governance.now(),
      caller,
      // An acceptance uses no units, so it has a meter of its own that bills nothing.
      meter: `acceptance:${caller.tenant.id}:${model}`,
      acceptance: { id, model, spdx, text, by, method, outcome },
    });
    await governance.appender.add(wrapRecord(await logRecord(governance, issued)));
    return issued;
  };
}

export interface AcceptanceRequest {
  readonly model: string;
  readonly text: Digest;
  /** The person who acts for the tenant. */
  readonly by: string;
  readonly method: Acceptance['method'];
}

export interface Accepted {
  readonly acceptance: Acceptance;
  /** The signed receipt; undefined if nothing changed: the same text was accepted, or the acceptance withdrawn, before. */
  readonly compact: string | undefined;
}

/**
 * @param served Manifests of the model's served versions.
 * @throws EdgewiseError `conflict` if none of them has the text: what the person was shown is out of date
 */
export async function accept(
  { store }: Accounts,
  recordAcceptance: RecordAcceptance,
  caller: TenantCaller,
  served: readonly Manifest[],
  request: AcceptanceRequest,
): Promise<Accepted> {
  const { model, text, by, method } = request;
  const manifest = served.find(({ terms }) => terms.licence.text === text);
  if (manifest === undefined) {
    const current = [...new Set(served.map(({ terms }) => terms.licence.text))].join(', ');
    throw new EdgewiseError(
      'conflict',
      `${text} is the licence text of no version of model "${model}" that is served; expected ${current}`,
    );
  }
  // Reads the store, since the cache may lack an acceptance that another isolate has just made.
  const { id: tenant } = caller.tenant;
  const standing = (await store.tenant(tenant)).acceptances.find(
    (each) => each.model === model && each.text === text && each.withdrawnAt === undefined,
  );
  if (standing !== undefined) return { acceptance: standing, compact: undefined };
  const { spdx } = manifest.terms.licence;
  const id = newId();
  const salt = newAcceptanceSalt();
  const commitment = await commitToAcceptor(salt, by);
  const receipt = await recordAcceptance(
    caller,
    { id, model, spdx, text, by: commitment, method },
    'accepted',
  );
  const acceptance = await store.addAcceptance(tenant, {
    id,
    model,
    spdx,
    text,
    by,
    salt,
    method,
    receipt: receipt.id,
  });
  return { acceptance, compact: receipt.compact };
}

/**
 * Withdraws an acceptance. The withdrawal takes effect before it is on record, so that the model is not used meanwhile.
 *
 * @throws EdgewiseError `not_found`; `forbidden` for a key that is for other models
 */
export async function withdraw(
  { store }: Accounts,
  recordAcceptance: RecordAcceptance,
  caller: TenantCaller,
  id: string,
): Promise<Accepted> {
  const { id: tenant } = caller.tenant;
  const before = (await store.tenant(tenant)).acceptances.find((each) => each.id === id);
  if (before !== undefined && !coversModel(caller.scopes, before.model)) {
    throw new EdgewiseError('forbidden', `the key that was sent is not for model "${before.model}"`);
  }
  const acceptance = await store.withdrawAcceptance(tenant, id);
  if (before?.withdrawnAt !== undefined) return { acceptance, compact: undefined };
  const { model, spdx, text, by, method, salt = newAcceptanceSalt() } = acceptance;
  const commitment = await commitToAcceptor(salt, by);
  const { compact } = await recordAcceptance(
    caller,
    { id, model, spdx, text, by: commitment, method },
    'withdrawn',
  );
  return { acceptance, compact };
}
