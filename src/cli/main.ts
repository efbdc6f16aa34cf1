/**
 * `edgewise <noun> <verb>`. Results go to stdout, progress and errors to stderr. Exit codes: 0 success, 1 failure, 2 a command
 * line that is not understood.
 */
import { Command, CommanderError } from 'commander';
import { isEdgewiseError, toEdgewiseError } from '../errors.ts';
import { serverVersion } from '../platform/node-cli.ts';
import { misuseCode } from './command.ts';
import { addGrantCommands } from './commands/grant.ts';
import { addKeyCommands } from './commands/key.ts';
import { addModelCommands } from './commands/model.ts';
import { addPackCommands } from './commands/pack.ts';
import { addPublisherCommands } from './commands/publisher.ts';
import { addReceiptCommands } from './commands/receipt.ts';
import { addSecretsCommands } from './commands/secrets.ts';
import { addStatementCommands } from './commands/statement.ts';
import { addTenantCommands } from './commands/tenant.ts';
import { errorText } from './render/tables.ts';

/** Returns the program with every command. It throws a CommanderError instead of exiting. */
export function createProgram(): Command {
  const program = new Command('edgewise')
    .description('Publish and operate ONNX models on an Edgewise worker')
    .version(serverVersion, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .enablePositionalOptions()
    .showHelpAfterError('  next: --help shows the usage')
    .exitOverride();
  addModelCommands(program);
  addPublisherCommands(program);
  addPackCommands(program);
  addTenantCommands(program);
  addKeyCommands(program);
  addGrantCommands(program);
  addSecretsCommands(program);
  addReceiptCommands(program);
  addStatementCommands(program);
  return program;
}

/** Runs a command line. Returns the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const program = createProgram();
  try {
    await program.parseAsync([...argv], { from: 'user' });
    // A verb whose result is bad, such as a failed verification, sets it.
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.code === misuseCode) process.stderr.write(`error: ${error.message}\n`);
      return error.exitCode === 0 ? 0 : 2;
    }
    const failure = toEdgewiseError(error, error instanceof Error ? error.message : String(error));
    if (argv.includes('--json')) {
      process.stdout.write(
        `${JSON.stringify({ error: { code: failure.code, message: failure.message } })}\n`,
      );
    }
    process.stderr.write(`${errorText(failure)}\n`);
    if (!isEdgewiseError(error) && error instanceof Error) {
      process.stderr.write(`${error.stack}\n`);
    }
    return 1;
  }
}

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2));
}
