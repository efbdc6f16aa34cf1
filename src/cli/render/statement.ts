/** Statements as text for people. */
import type { ListedStatement } from '../../client/statement-client.ts';
import type { Statement } from '../../governance/statement/schema.ts';
import type { StatementVerification } from '../../governance/statement/verify.ts';
import { type Row, table } from './tables.ts';

export function statementText(statement: Statement): string {
  const { grant, month, isOver, units, entries, first, last, size, royalty, amount, log, issuer, issuedAt } =
    statement;
  const between = first === undefined || last === undefined ? '' : `, from ${first} to ${last}`;
  return table([
    ['grant', `${grant.id}, ${grant.assigner} to ${grant.tenant}, for ${grant.model}`],
    ['month', isOver ? month : `${month}, not over yet`],
    ['units', `${units} in ${entries} entries${between}`],
    ...(royalty === undefined || amount === undefined
      ? []
      : [['amount', `${amount} ${royalty.currency}, at ${royalty.amount} each`] satisfies Row]),
    ['log', `${log}, ${size} entries`],
    ['issuer', `${issuer}, at ${issuedAt}`],
  ]);
}

/** The statement's content, and whether the log adds up to it. */
export function statementVerificationText(verification: StatementVerification): string {
  const { statement, differences, witnesses, receipts } = verification;
  const details = [
    ...(receipts === 0 ? [] : [`${receipts} of the given receipts are counted in it.`]),
    ...(witnesses.length === 0 ? [] : [`Cosigned by ${witnesses.join(', ')}.`]),
  ];
  const verdict =
    differences.length === 0
      ? ['The log adds up to the statement.', ...details]
      : ['The statement does NOT hold:', ...differences.map((difference) => `  ${difference}`)];
  return [statementText(statement), '', ...verdict].join('\n');
}

export function listedText(month: string, statements: readonly ListedStatement[]): string {
  if (statements.length === 0) return `no grant has a statement for ${month}`;
  return table([
    ['GRANT', 'TENANT', 'MODEL', 'GIVEN BY', 'ROYALTY'],
    ...statements.map(({ grant, tenant, model, assigner, royalty }) => [
      grant,
      tenant,
      model,
      assigner,
      royalty === undefined ? '' : `${royalty.amount} ${royalty.currency}`,
    ]),
  ]);
}
