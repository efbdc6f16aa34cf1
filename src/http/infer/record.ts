/** Puts an answer on record: its receipt, and the headers that the answer has because of it. */
import { base64url } from 'jose';
import type { Bytes } from '../../bytes.ts';
import type { RuntimeIdentity } from '../../engine/types.ts';
import { EdgewiseError } from '../../errors.ts';
import { hashInEntry } from '../../governance/log/entry.ts';
import { encodeProof } from '../../governance/log/proof.ts';
import type { IssuedReceipt } from '../../governance/receipt/issue.ts';
import type { RouteFacts } from '../../governance/receipt/parts.ts';
import type { Terms } from '../../repository/terms.ts';
import { type AppContext, addAnswerHeaders } from '../context.ts';
import { recordBehindAnswer } from '../record/governance.ts';
import { isTooLongForHeader, receiptHeaders, recordFirst } from '../record/receipt-headers.ts';
import type { PermittedUse, RecordedAnswer } from './request.ts';

/** The longest time that an answer waits for its proof. A round of the log takes about a second. */
export const maxProofWaitMs = 10_000;

/**
 * Returns the headers of the receipt and of the duties that the model's terms set. The receipt is on its way into the log;
 * it is in the log already if the caller asks for that, or if it is too long for a header.
 *
 * @throws EdgewiseError `records_unavailable` if the receipt has to be in the log before the answer, and is not; as
 * `recordFirst`
 */
export async function record(use: PermittedUse, answer: RecordedAnswer): Promise<Record<string, string>> {
  const { c, governance, model } = use;
  const issued = await issue(use, answer);
  const isAwaited = wantsLogged(c);
  let proof: Record<string, string> | undefined;
  if (isAwaited || isTooLongForHeader(issued)) {
    const { entry } = await recordFirst(governance, issued, answer.charge);
    if (isAwaited) proof = await proofHeaders(use, issued, hashInEntry(entry));
  } else {
    recordBehindAnswer(governance, issued);
  }
  return { ...receiptHeaders(issued), ...proof, ...dutyHeaders(model.manifest.terms) };
}

function issue(use: PermittedUse, answer: RecordedAnswer): Promise<IssuedReceipt> {
  const { action, atMs, caller, governance, model, permit } = use;
  const { inputs, outputs, units } = answer;
  return governance.issuer.inference({
    atMs,
    action,
    caller,
    model,
    decision: permit,
    packs: governance.packs,
    meter: permit.meter.meter,
    units,
    route: routeFacts(use, answer),
    inputs,
    outputs,
  });
}

/** Reports whether the request has `Prefer: receipt=logged` (RFC 7240). */
export function wantsLogged(c: AppContext): boolean {
  const prefer = c.req.header('prefer') ?? '';
  return prefer.split(',').some((one) => one.trim().toLowerCase() === 'receipt=logged');
}

async function proofHeaders(
  { c, governance }: PermittedUse,
  issued: IssuedReceipt,
  receiptHash: Bytes,
): Promise<Record<string, string>> {
  const proof = await governance.receipts.prove(receiptHash, maxProofWaitMs);
  if (proof === undefined) {
    // The receipt is on record and its units count, so the caller has to know of it.
    addAnswerHeaders(c, receiptHeaders(issued));
    throw new EdgewiseError(
      'records_unavailable',
      `the receipt was not in the log within ${maxProofWaitMs} ms, and the request asks for an answer with its proof`,
    );
  }
  return {
    'Edgewise-Receipt-Proof': base64url.encode(encodeProof(proof)),
    'Preference-Applied': 'receipt=logged',
  };
}

function routeFacts(
  { action, model }: PermittedUse,
  { tier, reason, jurisdiction, runtime }: RecordedAnswer,
): RouteFacts {
  const isRepeatable = action === 'infer' && model.manifest.random !== true;
  const reproducibility = isRepeatable ? reproducibilityOf(runtime) : 'none';
  return { tier, reason, jurisdiction, runtime, reproducibility };
}

/** A WebAssembly runtime with one thread computes the same bytes everywhere; other runtimes within a tolerance. */
function reproducibilityOf(runtime: RuntimeIdentity | undefined): RouteFacts['reproducibility'] {
  return runtime?.wasm === undefined ? 'tolerance' : 'exact';
}

/** Returns what the creator's terms make every answer say: who made the model, that a machine made the answer. */
function dutyHeaders({ duties, attribution }: Terms): Record<string, string> {
  const headers: Record<string, string> = {};
  if (duties.includes('ai-label')) headers['Edgewise-AI-Generated'] = '?1';
  if (duties.includes('attribute') && attribution !== undefined) {
    headers['Edgewise-Attribution'] = encodeURIComponent(attribution);
  }
  return headers;
}
