/**
 * Writes the software bill of materials of this version as SPDX 2.3 in JSON: every package of package-lock.json, and the
 * weights of the sample models.
 *
 *   npm run sbom [-- <file>]      default: build/edgewise-<version>.spdx.json
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { modelsDirectory, readSampleModels } from './fetch-models.ts';
import { type LockedPackage, readLockedPackages } from './locked-packages.ts';
import { root } from './process-group.ts';

export interface SpdxPackage {
  readonly SPDXID: string;
  readonly name: string;
  readonly versionInfo: string;
  readonly primaryPackagePurpose: 'APPLICATION' | 'LIBRARY' | 'FILE';
  readonly downloadLocation: 'NOASSERTION';
  readonly filesAnalyzed: false;
  readonly licenseDeclared: string;
  readonly licenseConcluded: 'NOASSERTION';
  readonly copyrightText: 'NOASSERTION';
  readonly checksums?: readonly {
    readonly algorithm: 'SHA256' | 'SHA512';
    readonly checksumValue: string;
  }[];
  readonly externalRefs?: readonly {
    readonly referenceCategory: 'PACKAGE-MANAGER';
    readonly referenceType: 'purl';
    readonly referenceLocator: string;
  }[];
}

export interface SpdxRelationship {
  readonly spdxElementId: string;
  readonly relationshipType: 'DESCRIBES' | 'DEPENDS_ON' | 'DEV_DEPENDENCY_OF' | 'CONTAINS';
  readonly relatedSpdxElement: string;
}

export interface SpdxDocument {
  readonly spdxVersion: 'SPDX-2.3';
  readonly dataLicense: 'CC0-1.0';
  readonly SPDXID: 'SPDXRef-DOCUMENT';
  readonly name: string;
  readonly documentNamespace: string;
  readonly creationInfo: { readonly created: string; readonly creators: readonly string[] };
  readonly packages: readonly SpdxPackage[];
  readonly relationships: readonly SpdxRelationship[];
}

const unknown = {
  downloadLocation: 'NOASSERTION',
  filesAnalyzed: false,
  licenseConcluded: 'NOASSERTION',
  copyrightText: 'NOASSERTION',
} as const;

/** @param created When the document was made. */
export async function createSbom(created: Date): Promise<SpdxDocument> {
  const locked = readLockedPackages();
  const idOfFolder = new Map(locked.map((each) => [each.folder, idOf(each)]));
  // A package that is installed in several folders is one package.
  const packages = new Map(locked.map((each) => [idOf(each), describePackage(each)]));
  const relationships = locked.flatMap((from) =>
    from.dependsOn.map((folder): SpdxRelationship => {
      const [a, b] = [idOf(from), idOfFolder.get(folder) ?? ''];
      return { spdxElementId: a, relationshipType: 'DEPENDS_ON', relatedSpdxElement: b };
    }),
  );
  const own = idOf(locked[0] ?? failEmpty());
  const development = locked
    .filter(({ isDev }) => isDev)
    .map((each): SpdxRelationship => {
      return { spdxElementId: idOf(each), relationshipType: 'DEV_DEPENDENCY_OF', relatedSpdxElement: own };
    });
  const models = await describeModels();
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: `edgewise-${locked[0]?.version}`,
    documentNamespace: `https://spdx.org/spdxdocs/edgewise-${locked[0]?.version}-${lockDigest()}`,
    creationInfo: {
      created: created.toISOString().replace(/\.\d+Z$/, 'Z'),
      creators: ['Tool: edgewise-sbom'],
    },
    packages: [...packages.values(), ...models],
    relationships: uniqueRelationships([
      { spdxElementId: 'SPDXRef-DOCUMENT', relationshipType: 'DESCRIBES', relatedSpdxElement: own },
      ...relationships,
      ...development,
      ...models.map(({ SPDXID }): SpdxRelationship => {
        return { spdxElementId: own, relationshipType: 'CONTAINS', relatedSpdxElement: SPDXID };
      }),
    ]),
  };
}

function failEmpty(): never {
  throw new Error('package-lock.json has no packages: run npm install');
}

/** Letters, digits, `.` and `-` are all that an SPDX identifier may have. */
function idOf({ name, version }: LockedPackage): string {
  return `SPDXRef-Package-${name.replaceAll('@', '').replaceAll(/[^A-Za-z0-9.-]/g, '-')}-${version}`;
}

function describePackage(each: LockedPackage): SpdxPackage {
  const { name, version, licence = 'NOASSERTION', integrity, folder } = each;
  const [algorithm, digest] = integrity?.split('-') ?? [];
  return {
    SPDXID: idOf(each),
    name,
    versionInfo: version,
    primaryPackagePurpose: folder === '' ? 'APPLICATION' : 'LIBRARY',
    ...unknown,
    licenseDeclared: licence,
    ...(algorithm === 'sha512' && digest !== undefined
      ? { checksums: [{ algorithm: 'SHA512', checksumValue: Buffer.from(digest, 'base64').toString('hex') }] }
      : {}),
    externalRefs: [
      {
        referenceCategory: 'PACKAGE-MANAGER',
        referenceType: 'purl',
        referenceLocator: `pkg:npm/${name.replace('@', '%40')}@${version}`,
      },
    ],
  };
}

async function describeModels(): Promise<readonly SpdxPackage[]> {
  const models = await readSampleModels();
  return models.map(({ name, terms, package: shipped }) => ({
    SPDXID: `SPDXRef-Model-${name}`,
    name: `model ${name}`,
    versionInfo: '1',
    primaryPackagePurpose: 'FILE',
    ...unknown,
    licenseDeclared: terms.licence.spdx,
    checksums: [
      {
        algorithm: 'SHA256',
        checksumValue:
          shipped?.sha256 ?? digestOf(readFileSync(join(modelsDirectory, name, '1', 'model.onnx'))),
      },
    ],
  }));
}

function uniqueRelationships(all: readonly SpdxRelationship[]): readonly SpdxRelationship[] {
  return [...new Map(all.map((each) => [JSON.stringify(each), each])).values()];
}

function lockDigest(): string {
  return digestOf(readFileSync(join(root, 'package-lock.json')));
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

if (import.meta.main) {
  const document = await createSbom(new Date());
  const file = process.argv[2] ?? join(root, 'build', `${document.name}.spdx.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(document, null, 2)}\n`);
  console.log(file);
}
