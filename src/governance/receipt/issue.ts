/**
 * Makes receipts. An answer waits for it, so an inference's is put together from parts that are canonical JSON already
 * (`parts.ts`), in the order of RFC 8785; a test holds that against the canonical form of the whole. What only the log
 * wants, the entry, is computed when it is asked for.
 */
import { base64url } from 'jose';
import type { Caller } from '../accounts/caller.ts';
import type { Action } from '../accounts/schema.ts';
import { entryOf } from '../log/entry.ts';
import type { LogEntry } from '../log/types.ts';
import type { PackInForce, Permit, Refusal } from '../policy/types.ts';
import type { NamedTensors } from './canonical-tensors.ts';
import { commit, commitmentKey, saltBytes } from './commitment.ts';
import { idBytes, receiptId } from './id.ts';
import { receiptSigner } from './jws.ts';
import type { SigningKey } from './keys.ts';
import type { MeterTagger } from './meter-tag.ts';
import {
  canonicalJson,
  type ModelFacts,
  modelPartsOf,
  type RouteFacts,
  receiptCaller,
  receiptDecision,
  receiptLicence,
  receiptMarks,
  receiptModel,
  receiptRoute,
  receiptTensors,
} from './parts.ts';
import { type AcceptanceReceipt, canonicalForm, receiptSchemaId, type VerdictReceipt } from './schema.ts';

type Bytes = Uint8Array<ArrayBuffer>;

export interface ReceiptIssuerOptions {
  readonly signing: SigningKey;
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

interface GateOutcome<D extends Permit | Refusal> extends CommonFacts {
  readonly action: Action;
  readonly model: ModelFacts;
  readonly decision: D;
  /** Policy packs in force. */
  readonly packs: readonly Pick<PackInForce, 'id' | 'digest'>[];
}

export interface InferenceFacts extends GateOutcome<Permit> {
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
  /** For the header `Edgewise-Receipt-Salt`, and for nothing else; undefined where nothing is committed to. */
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
  async function issue(
    facts: CommonFacts,
    units: number,
    own: Readonly<Record<string, unknown>>,
  ): Promise<Issued> {
    const id = receiptId(facts.atMs, crypto.getRandomValues(new Uint8Array(idBytes)));
    const tag = await meters.tag(facts.meter, facts.atMs);
    const caller = receiptCaller(facts.caller);
    const compact = await sign(
      canonicalJson({
        schema: receiptSchemaId,
        id,
        issuer: options.issuer,
        at: new Date(facts.atMs).toISOString(),
        log: options.log,
        caller,
        meter: { tag: base64url.encode(tag), units },
        ...own,
      }),
    );
    return { id, caller, compact, salt: undefined, entry: () => entryOf(compact, tag, units) };
  }

  return {
    async inference(facts) {
      const { atMs, model, units } = facts;
      const random = crypto.getRandomValues(new Uint8Array(saltBytes + idBytes));
      const salt = random.subarray(0, saltBytes);
      const id = receiptId(atMs, random.subarray(saltBytes));
      // Begun before the parts are made, which it does not wait for.
      const committing = committedData(facts, salt);
      const given = meters.tag(facts.meter, atMs);
      const decided = receiptDecision(facts);
      const caller = receiptCaller(facts.caller);
      const parts = modelPartsOf(model);
      const route = JSON.stringify(receiptRoute(facts.route, code));
      const marks = JSON.stringify(receiptMarks(facts.decision, model));
      const decision = JSON.stringify(decided instanceof Promise ? await decided : decided);
      const tag = given instanceof Promise ? await given : given;
      const data = committing === undefined ? '' : `,"data":${await committing}`;
      const compact = await sign(
        `{"at":"${new Date(atMs).toISOString()}","caller":${JSON.stringify(caller)}${data},"decision":${decision},"handling":${handling},"id":"${id}","issuer":${issuer},"kind":"inference","licence":${parts.licence},"log":${log},"marks":${marks},"meter":{"tag":"${base64url.encode(tag)}","units":${units}},"model":${parts.model},"route":${route},"schema":"${receiptSchemaId}"}`,
      );
      return {
        id,
        caller,
        compact,
        salt: committing === undefined ? undefined : base64url.encode(salt),
        entry: () => entryOf(compact, tag, units),
      };
    },
    async refusal(facts) {
      const { model } = facts;
      return issue(facts, 0, {
        kind: 'refusal',
        model: receiptModel(model),
        licence: receiptLicence(model),
        decision: await receiptDecision(facts),
      });
    },
    acceptance: (facts) => issue(facts, 0, { kind: 'acceptance', acceptance: facts.acceptance }),
    verdict: (facts) => issue(facts, 0, { kind: 'verdict', dispute: facts.dispute }),
  };
}

/** The member `data`; undefined where the request was not read. */
function committedData(
  { inputs, outputs }: Pick<InferenceFacts, 'inputs' | 'outputs'>,
  salt: Bytes,
): Promise<string> | undefined {
  return inputs === undefined ? undefined : committed(inputs, outputs, salt);
}

async function committed(
  inputs: NamedTensors,
  outputs: NamedTensors | undefined,
  salt: Bytes,
): Promise<string> {
  const key = await commitmentKey(salt);
  const [input, output] = await Promise.all([
    commit(key, 'inputs', inputs),
    outputs === undefined ? undefined : commit(key, 'outputs', outputs),
  ]);
  const inputPart = committedPart(input, inputs);
  const outputPart =
    output === undefined || outputs === undefined ? '' : `,"outputs":${committedPart(output, outputs)}`;
  return `{"form":"${canonicalForm}","inputs":${inputPart}${outputPart}}`;
}

function committedPart(commitment: string, tensors: NamedTensors): string {
  return `{"commitment":"${commitment}","tensors":${JSON.stringify(receiptTensors(tensors))}}`;
}
