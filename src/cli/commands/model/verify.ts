import { type Publishers, trustPublishers } from '../../../repository/signing/publishers.ts';
import {
  type AddVerb,
  type CommonOptions,
  connectAdmin,
  misuse,
  parseModelReference,
  print,
} from '../../command.ts';
import { sizeText } from '../../render/tables.ts';
import { checkSigned, openVersion } from '../../transfer/download.ts';
import { type VerifiedFolder, verifyFolder } from '../../transfer/verify-folder.ts';
import { chooseVersion } from './choose-version.ts';
import { publishersIn, type TrustedKeyOptions, trustedKeyOption } from './trusted-keys.ts';

export function addModelVerifyCommand(verb: AddVerb): void {
  verb('verify [model]', 'download a version and verify every byte of it and who signed it')
    .option('--folder <folder>', 'verify a pulled version instead, without a server')
    .addOption(trustedKeyOption())
    .action(verify);
}

type VerifyOptions = CommonOptions & TrustedKeyOptions & { readonly folder?: string };

async function verify(subject: string | undefined, options: VerifyOptions): Promise<void> {
  const publishers = trustPublishers(publishersIn(options));
  const { folder } = options;
  if (subject !== undefined && folder === undefined) return verifyPublished(subject, publishers, options);
  if (subject === undefined && folder !== undefined) return verifyPulled(folder, publishers, options);
  throw misuse('say what to verify: a model, or --folder with a pulled version');
}

async function verifyPublished(
  subject: string,
  publishers: Publishers,
  options: CommonOptions,
): Promise<void> {
  const client = connectAdmin(options);
  const chosen = await chooseVersion(client, parseModelReference(subject));
  const download = await openVersion(client, chosen.name, chosen.version);
  const { manifest, manifestDigest, graph, licenceText, chunks } = download;
  const { root, signer } = await checkSigned(download, publishers);
  let bytes = graph.byteLength + licenceText.byteLength;
  let blobs = 2;
  for await (const chunk of chunks()) {
    bytes += chunk.byteLength;
    blobs += 1;
  }
  printVerified(
    options,
    { manifest, manifestDigest, root, signer },
    { blobs, bytes },
    `${manifest.name}@${manifest.version} is whole: ${blobs} blobs, ${sizeText(bytes)}`,
  );
}

async function verifyPulled(folder: string, publishers: Publishers, options: CommonOptions): Promise<void> {
  const verified = await verifyFolder(folder, publishers);
  const { manifest, files } = verified;
  printVerified(
    options,
    verified,
    { files },
    `${folder} is ${manifest.name}@${manifest.version} as it was signed: ${files.join(', ')}`,
  );
}

function printVerified(
  options: CommonOptions,
  { manifest, manifestDigest, root, signer }: Omit<VerifiedFolder, 'files'>,
  details: Readonly<Record<string, unknown>>,
  text: string,
): void {
  const { name, version } = manifest;
  const { name: signerName, fingerprint } = signer;
  print(
    options,
    {
      name,
      version,
      digest: manifestDigest,
      ...details,
      root,
      signer: signerName,
      fingerprint,
      verified: true,
    },
    `${text}, digest ${manifestDigest}\nsigned by ${signerName} (${fingerprint}), root ${root}`,
  );
}
