import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { createStatementClient, type StatementClient } from '../../client/statement-client.ts';
import { isEdgewiseError } from '../../errors.ts';
import { parseVerifierKey } from '../../governance/log/note-keys.ts';
import { importVerifyingKeys } from '../../governance/receipt/keys.ts';
import { peekStatement } from '../../governance/statement/statement.ts';
import { verifyStatement } from '../../governance/statement/verify.ts';
import { addNoun, type CommonOptions, print, serverOf } from '../command.ts';
import { filesOf, jsonAt, textAt } from '../evidence/places.ts';
import { compactIn } from '../evidence/receipt-file.ts';
import { several } from '../option-values.ts';
import { listedText, statementText, statementVerificationText } from '../render/statement.ts';

/** Every verb of `edgewise statement`. */
export function addStatementCommands(program: Command): void {
  const verb = addNoun(program, 'statement', 'monthly statements of grants, counted from the log');
  verb('get <grant> <month>', 'get the signed statement of a grant for a month, such as 2026-11')
    .option('--out <file>', 'write the statement (compact JWS) to a file')
    .action(get);
  verb('list <month>', 'list the grants that have a statement for a month').action(list);
  verb(
    'verify <statement>',
    'count a statement again from the log; a file with the compact JWS, or - for stdin',
  )
    .requiredOption('--jwks <file or url>', "the server's public keys, its /.well-known/jwks.json")
    .requiredOption('--log-key <key>', "the log's public key")
    .requiredOption('--log <folder or url>', "the log's files")
    .option(
      '--receipt <file>',
      'a receipt that the statement must count; may be given several times',
      several,
    )
    .option(
      '--witness <key>',
      'public key of a witness that must have cosigned; may be given several times',
      several,
    )
    .action(verify);
}

async function get(grant: string, month: string, options: CommonOptions & { readonly out?: string }) {
  const statement = await pollStatement(connect(options), grant, month);
  if (options.out !== undefined) await writeFile(options.out, `${statement}\n`);
  print(options, { statement, content: peekStatement(statement) }, statementText(peekStatement(statement)));
}

/** Asks again as long as the server makes progress with counting the log. */
async function pollStatement(client: StatementClient, grant: string, month: string): Promise<string> {
  for (let progress = ''; ; ) {
    try {
      return await client.statement(grant, month);
    } catch (error) {
      const isCounting =
        isEdgewiseError(error) && error.code === 'records_unavailable' && error.message !== progress;
      if (!isCounting) throw error;
      progress = error.message;
      process.stderr.write(`${progress}\n`);
    }
  }
}

async function list(month: string, options: CommonOptions): Promise<void> {
  const statements = await connect(options).list(month);
  print(options, { month, statements }, listedText(month, statements));
}

interface VerifyOptions extends CommonOptions {
  readonly jwks: string;
  readonly logKey: string;
  readonly log: string;
  readonly receipt?: readonly string[];
  readonly witness?: readonly string[];
}

async function verify(place: string, options: VerifyOptions): Promise<void> {
  const { jwks, logKey, log, receipt = [], witness = [] } = options;
  const verification = await verifyStatement({
    statement: compactIn(await textAt(place), 'statement'),
    keys: await importVerifyingKeys(await jsonAt(jwks)),
    log: await parseVerifierKey(logKey),
    read: filesOf(log),
    witnesses: await Promise.all(witness.map(parseVerifierKey)),
    receipts: await Promise.all(receipt.map(async (file) => compactIn(await textAt(file), 'receipt'))),
  });
  print(options, verification, statementVerificationText(verification));
  if (verification.differences.length > 0) process.exitCode = 1;
}

function connect(options: CommonOptions): StatementClient {
  return createStatementClient(serverOf(options));
}
