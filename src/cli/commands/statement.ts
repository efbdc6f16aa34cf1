import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { createStatementClient, type StatementClient } from '../../client/statement-client.ts';
import { isEdgewiseError } from '../../errors.ts';
import { parseVerifierKey } from '../../governance/log/note-keys.ts';
import { importVerifyingKeys } from '../../governance/receipt/keys.ts';
import { peekStatement } from '../../governance/statement/statement.ts';
import { verifyStatement } from '../../governance/statement/verify.ts';
import { type CommonOptions, print } from '../command.ts';
import { connection } from '../connection.ts';
import { filesOf, jsonAt, textAt } from '../evidence/places.ts';
import { compactIn } from '../evidence/receipt-file.ts';
import { listedText, statementText, statementVerificationText } from '../render/statement.ts';
import { nounOf, several } from './account.ts';

/** Every verb of `edgewise statement`. */
export function addStatementCommands(program: Command): void {
  const verb = nounOf(program, 'statement', 'what was used of grants, month by month, counted from the log');
  verb('get <grant> <month>', 'the signed statement of a grant for a month, such as 2026-11')
    .option('--out <file>', 'write the statement (compact JWS) to a file')
    .action(get);
  verb('list <month>', 'the grants that there are statements of for a month').action(list);
  verb(
    'verify <statement>',
    'add a statement up again from the log; a file with the compact JWS, or - for stdin',
  )
    .requiredOption('--jwks <file or url>', "the server's public keys, its /.well-known/jwks.json")
    .requiredOption('--log-key <key>', "the log's public key")
    .requiredOption('--log <folder or url>', "the log's files")
    .option('--receipt <file>', 'a receipt that one holds; may be given several times', several)
    .option(
      '--witness <key>',
      'public key of a witness that must have cosigned; may be given several times',
      several,
    )
    .action(verify);
}

async function get(grant: string, month: string, options: CommonOptions & { readonly out?: string }) {
  const statement = await counted(client(options), grant, month);
  const { out } = options;
  if (out !== undefined) await writeFile(out, `${statement}\n`);
  print(options, { statement, content: peekStatement(statement) }, statementText(peekStatement(statement)));
}

/** Asks again as long as the server comes on with counting. */
async function counted(from: StatementClient, grant: string, month: string): Promise<string> {
  for (let before = ''; ; ) {
    try {
      return await from.statement(grant, month);
    } catch (error) {
      const isOn = isEdgewiseError(error) && error.code === 'records_unavailable' && error.message !== before;
      if (!isOn) throw error;
      before = error.message;
      process.stderr.write(`${before}\n`);
    }
  }
}

async function list(month: string, options: CommonOptions): Promise<void> {
  const statements = await client(options).list(month);
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

function client(options: CommonOptions): StatementClient {
  const { url, adminKey } = connection(options.url, process.env, process.cwd());
  return createStatementClient({ url, key: adminKey });
}
