/** `edgewise <noun> <verb>`. Results go to stdout, progress and errors to stderr; exit code 1 for a failure, 2 for misuse. */
import { Command, CommanderError } from 'commander';
import { isEdgewiseError, toEdgewiseError } from '../errors.ts';
import { addGrantCommands } from './grant-commands.ts';
import { addKeyCommands } from './key-commands.ts';
import { addKeysCommands } from './keys-commands.ts';
import { addModelCommands } from './model-commands.ts';
import { addPackCommands } from './policy-commands.ts';
import { addPublisherCommands } from './publisher-commands.ts';
import { addReceiptCommands } from './receipt-commands.ts';
import { errorText } from './render.ts';
import { addStatementCommands } from './statement-commands.ts';
import { addTenantCommands } from './tenant-commands.ts';

/** @returns The exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const program = new Command('edgewise')
    .description('Publish and look after ONNX models on an Edgewise worker')
    .exitOverride();
  addModelCommands(program);
  addPublisherCommands(program);
  addPackCommands(program);
  addTenantCommands(program);
  addKeyCommands(program);
  addGrantCommands(program);
  addKeysCommands(program);
  addReceiptCommands(program);
  addStatementCommands(program);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    // A verb that has something bad to say, but did not fail, sets it.
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) {
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
