/** Every way in which the signature of a model can be wrong. No such model may be served or published. */
import type { Bytes } from '../../src/bytes.ts';
import { encodeManifest } from '../../src/repository/documents.ts';
import type { Manifest } from '../../src/repository/schema.ts';
import type { PublisherSigningKey } from '../../src/repository/signing/bundle.ts';
import { signModel } from '../../src/repository/signing/model-signature.ts';
import { digestOf } from '../../src/storage/digest.ts';
import { bundleOf, type Json, statementIn } from './bundles.ts';
import { signingKey, signManifest } from './publisher.ts';
import { generateSigningKey } from './web-signing-key.ts';

export interface Tampering {
  readonly name: string;
  /** The server's error code in a push: `forbidden` for an untrusted publisher, `invalid_request` for a wrong signature. */
  readonly pushCode: 'invalid_request' | 'forbidden';
  make(manifest: Manifest): Promise<Bytes>;
}

interface Predicate {
  readonly resources: readonly Json[];
  readonly serialization: Json;
}

const untrusted = await generateSigningKey('P-256');
const zeros = '0'.repeat(64);

/** Changes the statement and signs it with the trusted publisher's key. Recomputes the root unless `keepRoot`. */
function changeStatement(
  name: string,
  change: (statement: Json & { predicate: Predicate }) => unknown,
  { keepRoot = false } = {},
): Tampering {
  return {
    name,
    pushCode: 'invalid_request',
    async make(manifest) {
      const statement = requireStatement(statementIn(await signManifest(manifest)));
      const changed = change(statement);
      return bundleOf(keepRoot ? changed : await withRoot(changed));
    },
  };
}

function requireStatement(statement: Json): Json & { predicate: Predicate } {
  const { predicate } = statement;
  if (!isJson(predicate) || !Array.isArray(predicate['resources']) || !isJson(predicate['serialization'])) {
    throw new Error('expected a statement');
  }
  return {
    ...statement,
    predicate: { resources: predicate['resources'], serialization: predicate['serialization'] },
  };
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null;
}

async function withRoot(statement: unknown): Promise<unknown> {
  const { predicate, subject } = isJson(statement) ? statement : {};
  if (!isJson(statement) || !isJson(predicate) || !Array.isArray(predicate['resources'])) return statement;
  if (!Array.isArray(subject) || subject.length !== 1) return statement;
  const digests = predicate['resources'].map(({ digest }: Json) => String(digest)).join('');
  const bytes = Uint8Array.from(digests.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
  const root = (await digestOf(bytes)).slice('sha256:'.length);
  return { ...statement, subject: [{ ...subject[0], digest: { sha256: root } }] };
}

/** Changes the resources of the statement. */
function changeResources(name: string, change: (resources: readonly Json[]) => readonly Json[]): Tampering {
  return changeStatement(name, ({ predicate, ...rest }) => ({
    ...rest,
    predicate: { ...predicate, resources: change(predicate.resources) },
  }));
}

const changeFile = (file: string, changes: Json): Tampering =>
  changeResources(`${file} with ${JSON.stringify(changes).slice(0, 40)}`, (resources) =>
    resources.map((resource) => (resource['name'] === file ? { ...resource, ...changes } : resource)),
  );

/** Adds a file in sorted position, so that only its name is wrong. */
const addFile = (name: string): Tampering =>
  changeResources(`a file named ${JSON.stringify(name)}`, (resources) =>
    [...resources, { name, algorithm: 'sha256', digest: zeros }].sort((a, b) =>
      String(a['name']) < String(b['name']) ? -1 : 1,
    ),
  );

const changeSerialization = (name: string, changes: Json): Tampering =>
  changeStatement(name, ({ predicate, ...rest }) => ({
    ...rest,
    predicate: { ...predicate, serialization: { ...predicate.serialization, ...changes } },
  }));

function changeBundle(name: string, change: (bundle: Json) => unknown): Tampering {
  return {
    name,
    pushCode: 'invalid_request',
    async make(manifest) {
      const bundle: Json = JSON.parse(new TextDecoder().decode(await signManifest(manifest)));
      return bytesOf(JSON.stringify(change(bundle)));
    },
  };
}

async function signWith(key: PublisherSigningKey, manifest: Manifest): Promise<Bytes> {
  const { digest: manifestDigest } = await encodeManifest(manifest);
  return signModel({ manifest, manifestDigest }, key);
}

export const tamperings: readonly Tampering[] = [
  {
    name: 'the key of an untrusted publisher',
    pushCode: 'forbidden',
    make: (manifest) => signWith(untrusted, manifest),
  },
  {
    name: 'the key of an untrusted publisher under the name of a trusted one',
    pushCode: 'invalid_request',
    async make(manifest) {
      const { fingerprint } = signingKey;
      const bundle: Json = JSON.parse(new TextDecoder().decode(await signWith(untrusted, manifest)));
      const verificationMaterial = { publicKey: { hint: fingerprint }, tlogEntries: [] };
      return bytesOf(JSON.stringify({ ...bundle, verificationMaterial }));
    },
  },
  {
    name: 'the signature of another version',
    pushCode: 'invalid_request',
    make: (manifest) => signManifest({ ...manifest, version: '77' }),
  },
  {
    name: 'the signature of a manifest with other terms',
    pushCode: 'invalid_request',
    make: (manifest) =>
      signManifest({
        ...manifest,
        terms: { ...manifest.terms, weightsMayLeave: !manifest.terms.weightsMayLeave },
      }),
  },
  changeFile('model.onnx', { digest: zeros }),
  changeFile('manifest.json', { digest: zeros }),
  changeFile('LICENSE', { digest: zeros }),
  changeFile('model.onnx', { algorithm: 'blake2b' }),
  changeFile('model.onnx', { digest: zeros.toUpperCase().replaceAll('0', 'A') }),
  changeFile('model.onnx', { size: 5 }),
  addFile('evil.so'),
  addFile('../evil.so'),
  addFile('/etc/passwd'),
  addFile('a//b'),
  addFile('./a'),
  addFile('a\\b'),
  addFile('a\0b'),
  addFile(''),
  changeResources('a file missing', (resources) => resources.slice(1)),
  changeResources('no file at all', () => []),
  changeResources('files in another order', (resources) => resources.toReversed()),
  changeResources('a file named twice', (resources) => resources.flatMap((resource) => [resource, resource])),
  changeStatement(
    'another root digest',
    (statement) => ({ ...statement, subject: [{ name: 'x', digest: { sha256: zeros } }] }),
    {
      keepRoot: true,
    },
  ),
  changeStatement('two subjects', (statement) => {
    const { subject } = statement;
    return { ...statement, subject: Array.isArray(subject) ? [...subject, ...subject] : [] };
  }),
  changeStatement('a deprecated predicate', (statement) => ({
    ...statement,
    predicateType: 'https://model_signing/Digests/v0.1',
  })),
  changeStatement('another predicate', (statement) => ({
    ...statement,
    predicateType: 'https://slsa.dev/provenance/v1',
  })),
  changeStatement('another statement', (statement) => ({
    ...statement,
    _type: 'https://in-toto.io/Statement/v0.1',
  })),
  changeSerialization('shards', { method: 'shards', shard_size: 1_000_000_000 }),
  changeSerialization('another method', { method: 'shards' }),
  changeSerialization('another hash', { hash_type: 'blake3' }),
  changeSerialization('links allowed', { allow_symlinks: true }),
  changeSerialization('a file that may be unsigned', { ignore_paths: ['evil.so'] }),
  {
    name: 'a statement that is not JSON',
    pushCode: 'invalid_request',
    make: () => bundleOf('{"_type":'),
  },
  {
    name: 'another payload type, signed as such',
    pushCode: 'invalid_request',
    make: async (manifest) =>
      bundleOf(statementIn(await signManifest(manifest)), { payloadType: 'application/json' }),
  },
  {
    name: 'a payload type that was not signed',
    pushCode: 'invalid_request',
    make: async (manifest) =>
      bundleOf(statementIn(await signManifest(manifest)), {
        payloadType: 'application/json',
        change: ({ dsseEnvelope, ...rest }) => ({
          ...rest,
          dsseEnvelope: { ...dsseEnvelope, payloadType: 'application/vnd.in-toto+json' },
        }),
      }),
  },
  changeBundle('another media type', (bundle) => ({
    ...bundle,
    mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.2',
  })),
  changeBundle('no hint', (bundle) => ({
    ...bundle,
    verificationMaterial: { publicKey: {}, tlogEntries: [] },
  })),
  changeBundle('a certificate', (bundle) => ({
    ...bundle,
    verificationMaterial: { x509CertificateChain: { certificates: [] }, tlogEntries: [] },
  })),
  changeBundle('a log entry that is not verified', (bundle) => {
    const { verificationMaterial } = bundle;
    return {
      ...bundle,
      verificationMaterial: { ...(isJson(verificationMaterial) && verificationMaterial), tlogEntries: [{}] },
    };
  }),
  changeBundle('a signature of another kind beside it', (bundle) => ({ ...bundle, messageSignature: {} })),
  changeBundle('a second signature', (bundle) => {
    const { dsseEnvelope } = bundle;
    if (!isJson(dsseEnvelope) || !Array.isArray(dsseEnvelope['signatures'])) return bundle;
    const { signatures } = dsseEnvelope;
    return { ...bundle, dsseEnvelope: { ...dsseEnvelope, signatures: [...signatures, ...signatures] } };
  }),
  changeBundle('no signature', (bundle) => {
    const { dsseEnvelope } = bundle;
    return { ...bundle, dsseEnvelope: { ...(isJson(dsseEnvelope) && dsseEnvelope), signatures: [] } };
  }),
  { name: 'no bundle', pushCode: 'invalid_request', make: async () => bytesOf('signed, honestly') },
];

function bytesOf(text: string): Bytes {
  return new Uint8Array(new TextEncoder().encode(text));
}
