/** What an answer says of itself for the record: its receipt, the marks that its terms ask for, what is left of a quota. */
import { base64url } from 'jose';
import type { RuntimeIdentity } from '../engine/types.ts';
import { EdgewiseError } from '../errors.ts';
import type { Action } from '../governance/accounts/schema.ts';
import { encodeProof } from '../governance/log/proof.ts';
import type { NamedTensors } from '../governance/receipt/canonical-tensors.ts';
import type { Issued } from '../governance/receipt/issue.ts';
import type { RouteFacts } from '../governance/receipt/parts.ts';
import type { Terms } from '../repository/terms.ts';
import type { Tier } from '../routing/place.ts';
import { type Accounting, logRecord, record } from './accounting.ts';
import type { AppContext } from './context.ts';
import type { Admitted } from './gate.ts';

export interface Settlement {
  readonly units: number;
  readonly tier: Tier;
  readonly reason: string;
  readonly jurisdiction: string | undefined;
  /** What computed it; undefined of an origin that does not say. */
  readonly runtime: RuntimeIdentity | undefined;
  /** Both undefined where the body went through unread. */
  readonly inputs: NamedTensors | undefined;
  readonly outputs: NamedTensors | undefined;
}

/**
 * What the answer says for the record, its receipt on the way into the log.
 *
 * @throws EdgewiseError `records_unavailable` when the caller wants the receipt in the log before the answer, and it is not.
 */
export async function settle(
  c: AppContext,
  admitted: Admitted,
  settlement: Settlement,
): Promise<Record<string, string>> {
  const issued = await issue(admitted, settlement);
  const { accounting, model } = admitted;
  if (!wantsLogged(c)) {
    record(accounting, issued);
    return { ...receiptHeaders(issued), ...dutyHeaders(model.manifest.terms) };
  }
  const proof = await proven(accounting, issued);
  return { ...receiptHeaders(issued), ...proof, ...dutyHeaders(model.manifest.terms) };
}

function issue(admitted: Admitted, settlement: Settlement): Promise<Issued> {
  const { accounting, action, atMs, caller, model, permit } = admitted;
  const { units, inputs, outputs } = settlement;
  return accounting.issuer.inference({
    atMs,
    action,
    caller,
    model,
    decision: permit,
    packs: accounting.packs,
    meter: permit.meter.meter,
    units,
    route: routeOf(action, settlement),
    inputs,
    outputs,
  });
}

/** `Prefer: receipt=logged` (RFC 7240). */
export function wantsLogged(c: AppContext): boolean {
  const prefer = c.req.header('prefer') ?? '';
  return prefer.split(',').some((one) => one.trim().toLowerCase() === 'receipt=logged');
}

/** A round of the log takes about a second. */
export const proofPatienceMs = 10_000;

async function proven(accounting: Accounting, issued: Issued): Promise<Record<string, string>> {
  const entry = await logRecord(accounting, issued);
  await accounting.receipts.append([entry]);
  const { receiptHash } = await issued.entry();
  const proof = await accounting.receipts.prove(receiptHash, proofPatienceMs);
  if (proof === undefined) {
    throw new EdgewiseError(
      'records_unavailable',
      `the receipt was not in the log within ${proofPatienceMs} ms, and the answer was wanted with its proof`,
    );
  }
  return {
    'Edgewise-Receipt-Proof': base64url.encode(encodeProof(proof)),
    'Preference-Applied': 'receipt=logged',
  };
}

/** A WebAssembly runtime with one thread computes the same bytes everywhere; others within a tolerance. */
function routeOf(action: Action, { tier, reason, jurisdiction, runtime }: Settlement): RouteFacts {
  const computed = runtime?.wasm === undefined ? 'tolerance' : 'exact';
  const reproducibility = action === 'infer' ? computed : 'none';
  return { tier, reason, jurisdiction, runtime, reproducibility };
}

function receiptHeaders({ compact, salt }: Issued): Record<string, string> {
  return salt === undefined
    ? { 'Edgewise-Receipt': compact }
    : { 'Edgewise-Receipt': compact, 'Edgewise-Receipt-Salt': salt };
}

/** What the creator's terms have the answer say: who made the model, that a machine made this. */
function dutyHeaders({ duties, attribution }: Terms): Record<string, string> {
  const headers: Record<string, string> = {};
  if (duties.includes('ai-label')) headers['Edgewise-AI-Generated'] = '?1';
  if (duties.includes('attribute') && attribution !== undefined) {
    headers['Edgewise-Attribution'] = encodeURIComponent(attribution);
  }
  return headers;
}
