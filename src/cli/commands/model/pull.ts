import { Option } from 'commander';
import { trustPublishers } from '../../../repository/signing/publishers.ts';
import { type AddVerb, type CommonOptions, connectAdmin, parseModelReference, print } from '../../command.ts';
import { pullModel } from '../../transfer/pull.ts';
import { pullForTriton } from '../../transfer/triton.ts';
import { chooseVersion } from './choose-version.ts';
import { publishersIn, type TrustedKeyOptions, trustedKeyOption } from './trusted-keys.ts';

export function addPullCommand(verb: AddVerb): void {
  verb('pull <model>', 'download a version')
    .option('--out <folder>', 'the folder to write (default: ./<name>-<version>)')
    .option('--joined', 'one model.onnx with its weights in it, which is not the file that was signed')
    .addOption(trustedKeyOption())
    .addOption(
      new Option('--triton <folder>', 'write into a model repository of Triton Inference Server').conflicts([
        'out',
        'joined',
      ]),
    )
    .action(pull);
}

type PullOptions = CommonOptions &
  TrustedKeyOptions & { readonly out?: string; readonly joined?: boolean; readonly triton?: string };

async function pull(subject: string, options: PullOptions): Promise<void> {
  const client = connectAdmin(options);
  const { name, version } = await chooseVersion(client, parseModelReference(subject));
  const keys = publishersIn(options);
  const publishers = keys.length === 0 ? undefined : trustPublishers(keys);
  if (options.triton !== undefined) {
    const written = await pullForTriton(client, name, version, options.triton, publishers);
    const verb = written.status === 'created' ? 'written to' : 'is in';
    const alias = written.servedAs === written.name ? '' : `; Triton calls it ${written.servedAs}`;
    print(options, written, `${written.name}@${written.version} ${verb} ${written.folder}${alias}`);
  } else {
    const result = await pullModel(client, name, version, {
      out: options.out ?? `${name.replace('/', '-')}-${version}`,
      joined: options.joined ?? false,
      ...(publishers && { publishers }),
    });
    print(
      options,
      result,
      `${result.name}@${result.version} written to ${result.folder}: ${result.files.join(', ')}`,
    );
  }
  if (publishers === undefined) {
    process.stderr.write('the signature was not verified: no public key of a publisher is given\n');
  }
}
