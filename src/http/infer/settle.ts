/** What an answer says of itself for the record: its receipt, the marks that its terms ask for, what is left of a quota. */
import { base64url } from 'jose';
import type { RuntimeIdentity } from '../../engine/types.ts';
import { EdgewiseError } from '../../errors.ts';
import { hashInEntry } from '../../governance/log/entry.ts';
import { encodeProof } from '../../governance/log/proof.ts';
import type { Issued } from '../../governance/receipt/issue.ts';
import type { RouteFacts } from '../../governance/receipt/parts.ts';
import type { Terms } from '../../repository/terms.ts';
import type { Tier } from '../../routing/place.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';
import { type AppContext, addAnswerHeaders } from '../context.ts';
import { type Governance, record } from '../record/governance.ts';
import { isTooLongForHeader, receiptHeaders, recordFirst } from '../record/receipt-headers.ts';
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
  /** Told where the log has the receipt, or may have it, before the answer is certain: its units count from then on. */
  readonly onRecord?: (() => void) | undefined;
}

/**
 * What the answer says for the record, its receipt on the way into the log. One that the headers cannot hold is in the log
 * before.
 *
 * @throws EdgewiseError `records_unavailable` when the receipt has to be in the log before the answer, and is not; what
 * `recordFirst` throws.
 */
export async function settle(
  c: AppContext,
  admitted: Admitted,
  settlement: Settlement,
): Promise<Record<string, string>> {
  const issued = await issue(admitted, settlement);
  const { governance, model } = admitted;
  const isAwaited = wantsLogged(c);
  let proof: Record<string, string> | undefined;
  if (isAwaited || isTooLongForHeader(issued)) {
    const { entry } = await recordFirst(governance, issued, settlement.onRecord);
    if (isAwaited) proof = await proven(c, governance, issued, hashInEntry(entry));
  } else {
    record(governance, issued);
  }
  return { ...receiptHeaders(issued), ...proof, ...dutyHeaders(model.manifest.terms) };
}

function issue(admitted: Admitted, settlement: Settlement): Promise<Issued> {
  const { governance, action, atMs, caller, model, permit } = admitted;
  const { units, inputs, outputs } = settlement;
  return governance.issuer.inference({
    atMs,
    action,
    caller,
    model,
    decision: permit,
    packs: governance.packs,
    meter: permit.meter.meter,
    units,
    route: routeOf(admitted, settlement),
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

async function proven(
  c: AppContext,
  governance: Governance,
  issued: Issued,
  receiptHash: Uint8Array<ArrayBuffer>,
): Promise<Record<string, string>> {
  const proof = await governance.receipts.prove(receiptHash, proofPatienceMs);
  if (proof === undefined) {
    // It is on record and its units count, so whoever asked is told of it.
    addAnswerHeaders(c, receiptHeaders(issued));
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

function routeOf(
  { action, model }: Admitted,
  { tier, reason, jurisdiction, runtime }: Settlement,
): RouteFacts {
  const isRepeatable = action === 'infer' && model.manifest.random !== true;
  return { tier, reason, jurisdiction, runtime, reproducibility: isRepeatable ? classOf(runtime) : 'none' };
}

/** A WebAssembly runtime with one thread computes the same bytes everywhere; others within a tolerance. */
function classOf(runtime: RuntimeIdentity | undefined): RouteFacts['reproducibility'] {
  return runtime?.wasm === undefined ? 'tolerance' : 'exact';
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
