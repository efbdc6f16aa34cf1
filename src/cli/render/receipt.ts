/** Receipts, verifications and replays as text for people. */
import type { Receipt } from '../../governance/receipt/schema.ts';
import type { ReplayFinding } from '../../governance/replay/types.ts';
import type { Outcome, ReceiptVerification } from '../../governance/verify/verify-receipt.ts';
import type { SignedAnswerLevels } from '../../governance/verify/verify-signed-answer.ts';
import { type Row, table } from './tables.ts';

const outcomes: { readonly [O in Outcome]: string } = {
  good: 'good',
  bad: 'BAD',
  'not-given': 'not given',
};

/** The receipt's content, one line for each level, and the verdict. */
export function verificationText(verification: ReceiptVerification & Partial<SignedAnswerLevels>): string {
  const { receipt, good, ...levels } = verification;
  const rows = Object.entries(levels).map(([level, { outcome, reason }]) => [
    level.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`),
    outcomes[outcome],
    reason,
  ]);
  const subject = levels.contentDigest === undefined ? 'receipt' : 'answer';
  const verdict = good
    ? `The ${subject} holds, as far as it could be checked.`
    : `The ${subject} does NOT hold.`;
  return [...(receipt === undefined ? [] : [receiptText(receipt), '']), table(rows), '', verdict].join('\n');
}

/** The receipt and the result of a replay. */
export function findingText(
  receipt: Receipt,
  { verdict, detail, maxDifference, tolerance }: ReplayFinding,
): string {
  const difference =
    maxDifference === undefined
      ? undefined
      : `${maxDifference.toExponential(1)}${tolerance === undefined ? '' : ` of ${tolerance.toExponential(1)}`}`;
  const rows = table([
    ['verdict', verdict],
    ...(detail === undefined ? [] : [['', detail] satisfies Row]),
    ...(difference === undefined ? [] : [['differs', difference] satisfies Row]),
  ]);
  return [receiptText(receipt), '', rows].join('\n');
}

export function receiptText(receipt: Receipt): string {
  const { tenant, credential } = receipt.caller;
  return table([
    ['receipt', `${receipt.id}, ${receipt.kind}`],
    ['at', receipt.at],
    ['issuer', receipt.issuer],
    ['log', receipt.log],
    ['caller', [tenant, credential].filter((part) => part !== undefined).join(', ') || 'unknown'],
    ...kindRows(receipt),
  ]);
}

function kindRows(receipt: Receipt): readonly Row[] {
  switch (receipt.kind) {
    case 'inference':
      return [...modelRows(receipt), ...routeRows(receipt.route), ['units', String(receipt.meter.units)]];
    case 'refusal':
      return [
        ...modelRows(receipt),
        ['refused', `${receipt.decision.code ?? ''}: ${receipt.decision.right ?? ''}`],
      ];
    case 'acceptance':
      return [
        [
          'licence',
          `${receipt.acceptance.spdx} of ${receipt.acceptance.model} ${receipt.acceptance.outcome}`,
        ],
        ['text', receipt.acceptance.text],
      ];
    case 'verdict':
      return [
        ['disputed', receipt.dispute.receipt],
        ['verdict', `${receipt.dispute.verdict} ${receipt.dispute.detail ?? ''}`.trim()],
      ];
  }
}

function modelRows({
  model,
  licence,
  decision,
}: Pick<
  Extract<Receipt, { kind: 'inference' | 'refusal' }>,
  'model' | 'licence' | 'decision'
>): readonly Row[] {
  const { purpose, territory, grant } = decision;
  const under = [
    licence.spdx,
    ...(grant === undefined ? [] : [`grant ${grant.id}`]),
    ...(purpose === undefined ? [] : [`for ${purpose}`]),
    ...(territory === undefined ? [] : [`in ${territory}`]),
  ];
  return [
    ['model', `${model.name}@${model.version}, signed by ${model.signer}`],
    ['', model.root],
    ['licence', under.join(', ')],
  ];
}

function routeRows({
  tier,
  reason,
  runtime,
  reproducibility,
}: Extract<Receipt, { kind: 'inference' }>['route']): readonly Row[] {
  return [
    ['ran', `${tier} (${reason}), reproducible: ${reproducibility}`],
    ...(runtime === undefined ? [] : [['runtime', `${runtime.name} ${runtime.version}`] satisfies Row]),
    ...(runtime?.wasm === undefined ? [] : [['', runtime.wasm] satisfies Row]),
  ];
}
