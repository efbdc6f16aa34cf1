/** `edgewise model stop|resume|stops`: the stop switch, which overrides every licence. */
import { createPolicyClient, type PolicyClient } from '../../../client/policy-client.ts';
import { type AddVerb, type CommonOptions, parseModelName, print, serverOf } from '../../command.ts';
import { table } from '../../render/tables.ts';

export function addStopCommands(verb: AddVerb): void {
  verb('stop <model>', 'refuse every request for a model, whatever its licences say, until it is resumed')
    .requiredOption('--reason <text>', 'the reason that callers are told')
    .action(stop);
  verb('resume <model>', 'serve a stopped model again').action(resume);
  verb('stops', 'list the stopped models').action(stops);
}

function connect(options: CommonOptions): PolicyClient {
  return createPolicyClient(serverOf(options));
}

async function stop(subject: string, options: CommonOptions & { readonly reason: string }): Promise<void> {
  const model = parseModelName(subject);
  const { since, reason } = await connect(options).stop(model, options.reason);
  print(
    options,
    { model, since, reason },
    `${model} is stopped since ${since}, everywhere within 10 seconds`,
  );
}

async function resume(subject: string, options: CommonOptions): Promise<void> {
  const model = parseModelName(subject);
  const wasStopped = await connect(options).resume(model);
  const text = wasStopped
    ? `${model} is served again, everywhere within 10 seconds`
    : `${model} was not stopped`;
  print(options, { model, wasStopped }, text);
}

async function stops(options: CommonOptions): Promise<void> {
  const stopped = await connect(options).stops();
  const rows = Object.entries(stopped).map(([model, { since, reason }]) => [model, since, reason]);
  print(
    options,
    stopped,
    rows.length === 0 ? 'no model is stopped' : table([['MODEL', 'SINCE', 'REASON'], ...rows]),
  );
}
