import { readFile } from 'node:fs/promises';
import { inspectModel } from '../../../repository/onnx/inspect.ts';
import { decodeModel } from '../../../repository/onnx/proto.ts';
import { type AddVerb, type CommonOptions, connectAdmin, parseModelReference, print } from '../../command.ts';
import { inspectionDetails, versionDetails } from '../../render/model.ts';
import { chooseVersion } from './choose-version.ts';

export function addInspectCommand(verb: AddVerb): void {
  verb(
    'inspect <model>',
    'show one version of a model: <name>[@<version or alias>], or an .onnx file',
  ).action(inspect);
}

async function inspect(subject: string, options: CommonOptions): Promise<void> {
  if (subject.endsWith('.onnx')) {
    const inspection = inspectModel(decodeModel(await readFile(subject)));
    return print(options, inspection, inspectionDetails(inspection));
  }
  const client = connectAdmin(options);
  const { name, version } = await chooseVersion(client, parseModelReference(subject));
  const { manifest, digest } = await client.version(name, version);
  const model = await client.model(name);
  print(options, { manifest, digest, ...model }, versionDetails(manifest, digest, model));
}
