/** Every way in which a signature can be wrong that stands beside a model. None of them may be served or published. */
import type { Bytes } from '../../src/bytes.ts';
import { encodeManifest } from '../../src/repository/documents.ts';
import type { Manifest } from '../../src/repository/schema.ts';
import type { PublisherSigningKey } from '../../src/repository/signing/bundle.ts';
import { signModel } from '../../src/repository/signing/model-signature.ts';
import { digestOf } from '../../src/storage/digest.ts';
import { bundleOf, type Json, statementIn } from './bundles.ts';
import { signed, signingKey } from './publisher.ts';
import { generateSigningKey } from './web-signing-key.ts';

export interface Tampering {
  readonly name: string;
  /** What the server makes of it in a push: whom nobody trusts is another matter than what is wrong. */
  readonly pushCode: 'invalid_request' | 'forbidden';
  make(manifest: Manifest): Promise<Bytes>;
}

interface Predicate {
  readonly resources: readonly Json[];
  readonly serialization: Json;
}

const stranger = await generateSigningKey('P-256');
const zeros = '0'.repeat(64);

/** Truly signed by the trusted publisher, with the statement changed. The root is made to fit unless it is what is wrong. */
function restated(
  name: string,
  change: (statement: Json & { predicate: Predicate }) => unknown,
  { keepRoot = false } = {},
): Tampering {
  return {
    name,
    pushCode: 'invalid_request',
    async make(manifest) {
      const statement = changeable(statementIn(await signed(manifest)));
      const changed = change(statement);
      return bundleOf(keepRoot ? changed : await withRoot(changed));
    },
  };
}

function changeable(statement: Json): Json & { predicate: Predicate } {
  const { predicate } = statement;
  if (!isJson(predicate) || !Array.isArray(predicate['resources']) || !isJson(predicate['serialization'])) {
    throw new Error('wanted a statement');
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

/** With other resources. */
function refiled(name: string, change: (resources: readonly Json[]) => readonly Json[]): Tampering {
  return restated(name, ({ predicate, ...rest }) => ({
    ...rest,
    predicate: { ...predicate, resources: change(predicate.resources) },
  }));
}

const changedFile = (file: string, changes: Json): Tampering =>
  refiled(`${file} with ${JSON.stringify(changes).slice(0, 40)}`, (resources) =>
    resources.map((resource) => (resource['name'] === file ? { ...resource, ...changes } : resource)),
  );

/** In their place, so that nothing but the name is wrong. */
const strangeFile = (name: string): Tampering =>
  refiled(`a file named ${JSON.stringify(name)}`, (resources) =>
    [...resources, { name, algorithm: 'sha256', digest: zeros }].sort((a, b) =>
      String(a['name']) < String(b['name']) ? -1 : 1,
    ),
  );

const serialized = (name: string, changes: Json): Tampering =>
  restated(name, ({ predicate, ...rest }) => ({
    ...rest,
    predicate: { ...predicate, serialization: { ...predicate.serialization, ...changes } },
  }));

function rebundled(name: string, change: (bundle: Json) => unknown): Tampering {
  return {
    name,
    pushCode: 'invalid_request',
    async make(manifest) {
      const bundle: Json = JSON.parse(new TextDecoder().decode(await signed(manifest)));
      return bytesOf(JSON.stringify(change(bundle)));
    },
  };
}

async function signedWith(key: PublisherSigningKey, manifest: Manifest): Promise<Bytes> {
  const { digest: manifestDigest } = await encodeManifest(manifest);
  return signModel({ manifest, manifestDigest }, key);
}

export const tamperings: readonly Tampering[] = [
  {
    name: 'the key of a stranger',
    pushCode: 'forbidden',
    make: (manifest) => signedWith(stranger, manifest),
  },
  {
    name: 'the key of a stranger under the name of a trusted one',
    pushCode: 'invalid_request',
    async make(manifest) {
      const { fingerprint } = signingKey;
      const bundle: Json = JSON.parse(new TextDecoder().decode(await signedWith(stranger, manifest)));
      const verificationMaterial = { publicKey: { hint: fingerprint }, tlogEntries: [] };
      return bytesOf(JSON.stringify({ ...bundle, verificationMaterial }));
    },
  },
  {
    name: 'the signature of another version',
    pushCode: 'invalid_request',
    make: (manifest) => signed({ ...manifest, version: '77' }),
  },
  {
    name: 'the signature of a manifest with other terms',
    pushCode: 'invalid_request',
    make: (manifest) =>
      signed({ ...manifest, terms: { ...manifest.terms, weightsMayLeave: !manifest.terms.weightsMayLeave } }),
  },
  changedFile('model.onnx', { digest: zeros }),
  changedFile('manifest.json', { digest: zeros }),
  changedFile('LICENSE', { digest: zeros }),
  changedFile('model.onnx', { algorithm: 'blake2b' }),
  changedFile('model.onnx', { digest: zeros.toUpperCase().replaceAll('0', 'A') }),
  changedFile('model.onnx', { size: 5 }),
  strangeFile('evil.so'),
  strangeFile('../evil.so'),
  strangeFile('/etc/passwd'),
  strangeFile('a//b'),
  strangeFile('./a'),
  strangeFile('a\\b'),
  strangeFile('a\0b'),
  strangeFile(''),
  refiled('a file missing', (resources) => resources.slice(1)),
  refiled('no file at all', () => []),
  refiled('files in another order', (resources) => resources.toReversed()),
  refiled('a file named twice', (resources) => resources.flatMap((resource) => [resource, resource])),
  restated(
    'another root digest',
    (statement) => ({ ...statement, subject: [{ name: 'x', digest: { sha256: zeros } }] }),
    {
      keepRoot: true,
    },
  ),
  restated('two subjects', (statement) => {
    const { subject } = statement;
    return { ...statement, subject: Array.isArray(subject) ? [...subject, ...subject] : [] };
  }),
  restated('a deprecated predicate', (statement) => ({
    ...statement,
    predicateType: 'https://model_signing/Digests/v0.1',
  })),
  restated('another predicate', (statement) => ({
    ...statement,
    predicateType: 'https://slsa.dev/provenance/v1',
  })),
  restated('another statement', (statement) => ({
    ...statement,
    _type: 'https://in-toto.io/Statement/v0.1',
  })),
  serialized('shards', { method: 'shards', shard_size: 1_000_000_000 }),
  serialized('another method', { method: 'shards' }),
  serialized('another hash', { hash_type: 'blake3' }),
  serialized('links allowed', { allow_symlinks: true }),
  serialized('a file that may lie there unsigned', { ignore_paths: ['evil.so'] }),
  {
    name: 'a statement that is no JSON',
    pushCode: 'invalid_request',
    make: () => bundleOf('{"_type":'),
  },
  {
    name: 'another payload type, signed as such',
    pushCode: 'invalid_request',
    make: async (manifest) =>
      bundleOf(statementIn(await signed(manifest)), { payloadType: 'application/json' }),
  },
  {
    name: 'a payload type that was not signed',
    pushCode: 'invalid_request',
    make: async (manifest) =>
      bundleOf(statementIn(await signed(manifest)), {
        payloadType: 'application/json',
        change: ({ dsseEnvelope, ...rest }) => ({
          ...rest,
          dsseEnvelope: { ...dsseEnvelope, payloadType: 'application/vnd.in-toto+json' },
        }),
      }),
  },
  rebundled('another media type', (bundle) => ({
    ...bundle,
    mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.2',
  })),
  rebundled('no hint', (bundle) => ({ ...bundle, verificationMaterial: { publicKey: {}, tlogEntries: [] } })),
  rebundled('a certificate', (bundle) => ({
    ...bundle,
    verificationMaterial: { x509CertificateChain: { certificates: [] }, tlogEntries: [] },
  })),
  rebundled('a log entry that nobody verifies', (bundle) => {
    const { verificationMaterial } = bundle;
    return {
      ...bundle,
      verificationMaterial: { ...(isJson(verificationMaterial) && verificationMaterial), tlogEntries: [{}] },
    };
  }),
  rebundled('a signature of another kind beside it', (bundle) => ({ ...bundle, messageSignature: {} })),
  rebundled('a second signature', (bundle) => {
    const { dsseEnvelope } = bundle;
    if (!isJson(dsseEnvelope) || !Array.isArray(dsseEnvelope['signatures'])) return bundle;
    const { signatures } = dsseEnvelope;
    return { ...bundle, dsseEnvelope: { ...dsseEnvelope, signatures: [...signatures, ...signatures] } };
  }),
  rebundled('no signature', (bundle) => {
    const { dsseEnvelope } = bundle;
    return { ...bundle, dsseEnvelope: { ...(isJson(dsseEnvelope) && dsseEnvelope), signatures: [] } };
  }),
  { name: 'no bundle', pushCode: 'invalid_request', make: async () => bytesOf('signed, honestly') },
];

function bytesOf(text: string): Bytes {
  return new Uint8Array(new TextEncoder().encode(text));
}
