import type { Command } from 'commander';
import { base64url } from 'jose';
import { deriveSalt, parseSalt } from '../../governance/receipt/commitment.ts';
import { print } from '../command.ts';
import { addReplayCommand } from './receipt/replay.ts';
import { addReceiptVerifyCommand } from './receipt/verify.ts';

/** Every verb of `edgewise receipt`. */
export function addReceiptCommands(program: Command): void {
  const receipt = program.command('receipt').description('the signed record that comes with an answer');
  addReceiptVerifyCommand(receipt);
  addReplayCommand(receipt);
  receipt
    .command('salts <salt>')
    .description(
      'derive two salts from the header Edgewise-Receipt-Salt, one for the inputs and one for the outputs: hand on one of them, and only that side can be checked',
    )
    .option('--json', 'print the result as JSON')
    .action(printSalts);
}

function printSalts(salt: string, options: { readonly json?: boolean }): void {
  const secret = parseSalt(salt);
  const inputs = base64url.encode(deriveSalt(secret, 'inputs'));
  const outputs = base64url.encode(deriveSalt(secret, 'outputs'));
  print(options, { inputs, outputs }, `inputs   ${inputs}\noutputs  ${outputs}`);
}
