/**
 * Makes receipts. An answer waits for it, so an inference's is put together from parts that are canonical JSON already
 * (`parts.ts`), in the order of RFC 8785; a test holds that against the canonical form of the whole. What only the log
 * wants, the entry, is computed when it is asked for.
 */

import { base64url } from 'jose';
import type { Bytes } from '../../bytes.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';
import type { Caller } from '../accounts/caller.ts';
import { entryOf } from '../log/entry.ts';
import type { LogEntry } from '../log/types.ts';
import type { Permission, Refusal } from '../policy/types.ts';
import { commit, deriveSalt, saltBytes, saltsForm } from './commitment.ts';
import { idBytes, receiptId } from './id.ts';
import { receiptSigner } from './jws.ts';
import type { ServerSigningKey } from './keys.ts';
import type { MeterTagger } from './meter-tag.ts';
import {
  callerPart,
  canonicalJson,
  type DecisionFacts,
  decisionPart,
  describeCaller,
  type ModelFacts,
  marksPart,
  modelPartsOf,
  type RouteFacts,
  routePart,
  tensorsPart,
} from './parts.ts';
import { type AcceptanceReceipt, canonicalForm, receiptSchemaId, type VerdictReceipt } from './schema.ts';

export interface ReceiptIssuerOptions {
  readonly signing: ServerSigningKey;
  /** Who answers for it: the operator's name or address. */
  readonly issuer: string;
  /** Origin of the log that its entries go into. */
  readonly log: string;
  /** Version of Edgewise. */
  readonly code: string;
  readonly meters: MeterTagger;
}

interface CommonFacts {
  /** When the request arrived, in milliseconds since 1970. */
  readonly atMs: number;
  readonly caller: Caller;
  /** Whose meter the log's entry counts on: `grant:<id>`, or `licence:<tenant or anonymous>:<model>`. */
  readonly meter: string;
}

interface GateOutcome<D extends Permission | Refusal> extends CommonFacts, DecisionFacts {
  readonly model: ModelFacts;
  readonly decision: D;
}

export interface InferenceFacts extends GateOutcome<Permission> {
  readonly units: number;
  readonly route: RouteFacts;
  /** Both undefined where the request was passed through unread; outputs where the answer alone was. */
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
export interface Issued {
  readonly id: string;
  readonly caller: { readonly tenant?: string | undefined };
  /** Compact JWS: the header `Edgewise-Receipt`. */
  readonly compact: string;
  /** The secret, for the header `Edgewise-Receipt-Salt` and for nothing else; undefined where nothing is committed to. */
  readonly salt: string | undefined;
  /** What the log is to hold of it. Computed when asked for: the answer need not wait for it. */
  entry(): Promise<LogEntry>;
}

export interface ReceiptIssuer {
  inference(facts: InferenceFacts): Promise<Issued>;
  refusal(facts: RefusalFacts): Promise<Issued>;
  acceptance(facts: AcceptanceFacts): Promise<Issued>;
  verdict(facts: VerdictFacts): Promise<Issued>;
}

const handling = '{"retention":"none","trainingUse":false}';

export function createReceiptIssuer(options: ReceiptIssuerOptions): ReceiptIssuer {
  const { code, meters } = options;
  const sign = receiptSigner(options.signing);
  const issuer = JSON.stringify(options.issuer);
  const log = JSON.stringify(options.log);

  /** Of the kinds that are rare: the canonical form of the whole. */
  async function rare(facts: CommonFacts, own: Readonly<Record<string, unknown>>): Promise<Issued> {
    const { atMs, meter } = facts;
    const id = receiptId(atMs, crypto.getRandomValues(new Uint8Array(idBytes)));
    const caller = describeCaller(facts.caller);
    const tag = await meters.tag(meter, atMs);
    const receipt = {
      schema: receiptSchemaId,
      id,
      issuer: options.issuer,
      at: new Date(atMs).toISOString(),
      log: options.log,
      caller,
      meter: { tag: base64url.encode(tag), units: 0 },
      ...own,
    };
    const compact = await sign(canonicalJson(receipt));
    return { id, caller, compact, salt: undefined, entry: () => entryOf(compact, tag, 0) };
  }

  return {
    async inference(facts) {
      const { atMs, model, inputs, outputs, units } = facts;
      const random = crypto.getRandomValues(new Uint8Array(saltBytes + idBytes));
      const secret = random.subarray(0, saltBytes);
      const id = receiptId(atMs, random.subarray(saltBytes));
      const committing = inputs === undefined ? '' : dataMember(inputs, outputs, secret);
      const data = committing instanceof Promise ? await committing : committing;
      const tagging = meters.tag(facts.meter, atMs);
      const tag = tagging instanceof Promise ? await tagging : tagging;
      const deciding = decisionPart(facts);
      const decision = deciding instanceof Promise ? await deciding : deciding;
      const caller = describeCaller(facts.caller);
      const parts = modelPartsOf(model);
      const marks = marksPart(facts.decision, model);
      const route = routePart(facts.route, code);
      const compact = await sign(
        `{"at":"${new Date(atMs).toISOString()}","caller":${callerPart(caller)}${data},"decision":${decision},"handling":${handling},"id":"${id}","issuer":${issuer},"kind":"inference","licence":${parts.licence},"log":${log},"marks":${marks},"meter":{"tag":"${base64url.encode(tag)}","units":${units}},"model":${parts.model},"route":${route},"schema":"${receiptSchemaId}"}`,
      );
      return {
        id,
        caller,
        compact,
        salt: inputs === undefined ? undefined : base64url.encode(secret),
        entry: () => entryOf(compact, tag, units),
      };
    },
    async refusal(facts) {
      const { atMs } = facts;
      const id = receiptId(atMs, crypto.getRandomValues(new Uint8Array(idBytes)));
      const caller = describeCaller(facts.caller);
      const parts = modelPartsOf(facts.model);
      const [decision, tag] = await Promise.all([decisionPart(facts), meters.tag(facts.meter, atMs)]);
      const compact = await sign(
        `{"at":"${new Date(atMs).toISOString()}","caller":${callerPart(caller)},"decision":${decision},"id":"${id}","issuer":${issuer},"kind":"refusal","licence":${parts.licence},"log":${log},"meter":{"tag":"${base64url.encode(tag)}","units":0},"model":${parts.model},"schema":"${receiptSchemaId}"}`,
      );
      return { id, caller, compact, salt: undefined, entry: () => entryOf(compact, tag, 0) };
    },
    acceptance: (facts) => rare(facts, { kind: 'acceptance', acceptance: facts.acceptance }),
    verdict: (facts) => rare(facts, { kind: 'verdict', dispute: facts.dispute }),
  };
}

/** The member `data`, with the comma before it. */
function dataMember(
  inputs: NamedTensors,
  outputs: NamedTensors | undefined,
  secret: Bytes,
): string | Promise<string> {
  const input = commit(deriveSalt(secret, 'inputs'), 'inputs', inputs);
  const output = outputs && commit(deriveSalt(secret, 'outputs'), 'outputs', outputs);
  const member = (ofInputs: string, ofOutputs: string | undefined) => {
    const more = outputs && `,"outputs":{"commitment":"${ofOutputs}","tensors":${tensorsPart(outputs)}}`;
    return `,"data":{"form":"${canonicalForm}","inputs":{"commitment":"${ofInputs}","tensors":${tensorsPart(inputs)}}${more ?? ''},"salts":"${saltsForm}"}`;
  };
  return input instanceof Promise || output instanceof Promise
    ? Promise.all([input, output]).then(([ofInputs, ofOutputs]) => member(ofInputs, ofOutputs))
    : member(input, output);
}
