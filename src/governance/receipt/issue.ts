/**
 * Issues receipts. An answer waits for its receipt, so inference receipts are assembled from parts that are already canonical
 * JSON (`parts.ts`), in the order of RFC 8785; a test compares the result with the canonical form of the whole. The log's
 * entry is computed only on demand.
 */

import { base64url } from 'jose';
import type { Bytes } from '../../bytes.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';
import type { Caller } from '../accounts/caller.ts';
import { canonicalJson } from '../canonical-json.ts';
import { entryOf } from '../log/entry.ts';
import type { LogEntry } from '../log/types.ts';
import type { Permission, Refusal } from '../policy/types.ts';
import { commit, deriveSalt, saltBytes, saltsForm } from './commitment.ts';
import { idBytes, receiptId } from './id.ts';
import { receiptSigner, type SignReceipt } from './jws.ts';
import type { ServerSigningKey } from './keys.ts';
import type { MeterTagger } from './meter-tag.ts';
import {
  type DecisionFacts,
  describeCaller,
  formatCaller,
  formatDecision,
  formatMarks,
  formatModel,
  formatRoute,
  formatTensors,
  type ModelFacts,
  type RouteFacts,
} from './parts.ts';
import { type AcceptanceReceipt, canonicalForm, receiptSchemaId, type VerdictReceipt } from './schema.ts';

export interface ReceiptIssuerOptions {
  readonly signing: ServerSigningKey;
  /** The operator's name or address. */
  readonly issuer: string;
  /** Origin of the log that records the receipts. */
  readonly log: string;
  /** Version of Edgewise. */
  readonly code: string;
  readonly meters: MeterTagger;
}

interface CommonFacts {
  /** When the request arrived, in milliseconds since 1970. */
  readonly atMs: number;
  readonly caller: Caller;
  /** The meter that the log's entry counts on: `grant:<id>`, or `licence:<tenant or anonymous>:<model>`. */
  readonly meter: string;
}

interface GateOutcome<D extends Permission | Refusal> extends CommonFacts, DecisionFacts {
  readonly model: ModelFacts;
  readonly decision: D;
}

export interface InferenceFacts extends GateOutcome<Permission> {
  readonly units: number;
  readonly route: RouteFacts;
  /** Both are undefined if the request was passed through without being read; only `outputs` if the answer was. */
  readonly inputs: NamedTensors | undefined;
  readonly outputs: NamedTensors | undefined;
}

export type RefusalFacts = GateOutcome<Refusal>;

export interface AcceptanceFacts extends CommonFacts {
  readonly acceptance: AcceptanceReceipt['acceptance'];
}

export interface VerdictFacts extends CommonFacts {
  readonly dispute: VerdictReceipt['dispute'];
}

/** A signed receipt. */
export interface IssuedReceipt {
  readonly id: string;
  readonly caller: { readonly tenant?: string | undefined };
  /** Compact JWS: the header `Edgewise-Receipt`. */
  readonly compact: string;
  /** The secret, only for the header `Edgewise-Receipt-Salt`; undefined if the receipt has no commitments. */
  readonly salt: string | undefined;
  /** Computes the log's entry, for which the answer does not wait. */
  entry(): Promise<LogEntry>;
}

export interface ReceiptIssuer {
  inference(facts: InferenceFacts): Promise<IssuedReceipt>;
  refusal(facts: RefusalFacts): Promise<IssuedReceipt>;
  acceptance(facts: AcceptanceFacts): Promise<IssuedReceipt>;
  verdict(facts: VerdictFacts): Promise<IssuedReceipt>;
}

const handling = '{"retention":"none","trainingUse":false}';

interface IssuerContext extends ReceiptIssuerOptions {
  readonly sign: SignReceipt;
  /** JSON of the members that all receipts share. */
  readonly json: { readonly issuer: string; readonly log: string };
}

export function createReceiptIssuer(options: ReceiptIssuerOptions): ReceiptIssuer {
  const context: IssuerContext = {
    ...options,
    sign: receiptSigner(options.signing),
    json: { issuer: JSON.stringify(options.issuer), log: JSON.stringify(options.log) },
  };
  return {
    inference: (facts) => issueInference(context, facts),
    refusal: (facts) => issueRefusal(context, facts),
    acceptance: (facts) => issueOther(context, facts, { kind: 'acceptance', acceptance: facts.acceptance }),
    verdict: (facts) => issueOther(context, facts, { kind: 'verdict', dispute: facts.dispute }),
  };
}

async function issueInference(
  { code, meters, sign, json }: IssuerContext,
  facts: InferenceFacts,
): Promise<IssuedReceipt> {
  const { atMs, model, inputs, outputs, units } = facts;
  const random = crypto.getRandomValues(new Uint8Array(saltBytes + idBytes));
  const secret = random.subarray(0, saltBytes);
  const id = receiptId(atMs, random.subarray(saltBytes));
  const data = inputs === undefined ? '' : await formatData(inputs, outputs, secret);
  const tag = await meters.tag(facts.meter, atMs);
  const decision = await formatDecision(facts);
  const caller = describeCaller(facts.caller);
  const parts = formatModel(model);
  const marks = formatMarks(facts.decision, model);
  const route = formatRoute(facts.route, code);
  const compact = await sign(
    `{"at":"${new Date(atMs).toISOString()}","caller":${formatCaller(caller)}${data},"decision":${decision},"handling":${handling},"id":"${id}","issuer":${json.issuer},"kind":"inference","licence":${parts.licence},"log":${json.log},"marks":${marks},"meter":{"tag":"${base64url.encode(tag)}","units":${units}},"model":${parts.model},"route":${route},"schema":"${receiptSchemaId}"}`,
  );
  return {
    id,
    caller,
    compact,
    salt: inputs === undefined ? undefined : base64url.encode(secret),
    entry: () => entryOf(compact, tag, units),
  };
}

async function issueRefusal(
  { meters, sign, json }: IssuerContext,
  facts: RefusalFacts,
): Promise<IssuedReceipt> {
  const { atMs } = facts;
  const id = receiptId(atMs, crypto.getRandomValues(new Uint8Array(idBytes)));
  const caller = describeCaller(facts.caller);
  const parts = formatModel(facts.model);
  const [decision, tag] = await Promise.all([formatDecision(facts), meters.tag(facts.meter, atMs)]);
  const compact = await sign(
    `{"at":"${new Date(atMs).toISOString()}","caller":${formatCaller(caller)},"decision":${decision},"id":"${id}","issuer":${json.issuer},"kind":"refusal","licence":${parts.licence},"log":${json.log},"meter":{"tag":"${base64url.encode(tag)}","units":0},"model":${parts.model},"schema":"${receiptSchemaId}"}`,
  );
  return { id, caller, compact, salt: undefined, entry: () => entryOf(compact, tag, 0) };
}

/** Issues the infrequent kinds of receipts, from the canonical form of the whole. */
async function issueOther(
  { issuer, log, meters, sign }: IssuerContext,
  facts: CommonFacts,
  members: Readonly<Record<string, unknown>>,
): Promise<IssuedReceipt> {
  const { atMs, meter } = facts;
  const id = receiptId(atMs, crypto.getRandomValues(new Uint8Array(idBytes)));
  const caller = describeCaller(facts.caller);
  const tag = await meters.tag(meter, atMs);
  const receipt = {
    schema: receiptSchemaId,
    id,
    issuer,
    at: new Date(atMs).toISOString(),
    log,
    caller,
    meter: { tag: base64url.encode(tag), units: 0 },
    ...members,
  };
  const compact = await sign(canonicalJson(receipt));
  return { id, caller, compact, salt: undefined, entry: () => entryOf(compact, tag, 0) };
}

/** Formats the member `data`, with a leading comma. */
function formatData(
  inputs: NamedTensors,
  outputs: NamedTensors | undefined,
  secret: Bytes,
): string | Promise<string> {
  const input = commit(deriveSalt(secret, 'inputs'), 'inputs', inputs);
  const output = outputs && commit(deriveSalt(secret, 'outputs'), 'outputs', outputs);
  const format = (inputCommitment: string, outputCommitment: string | undefined) => {
    const outputMember =
      outputs && `,"outputs":{"commitment":"${outputCommitment}","tensors":${formatTensors(outputs)}}`;
    return `,"data":{"form":"${canonicalForm}","inputs":{"commitment":"${inputCommitment}","tensors":${formatTensors(inputs)}}${outputMember ?? ''},"salts":"${saltsForm}"}`;
  };
  return input instanceof Promise || output instanceof Promise
    ? Promise.all([input, output]).then((commitments) => format(...commitments))
    : format(input, output);
}
