/** What a release is made of: its notices, its bill of materials, its changelog. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readAuditReport } from '../../scripts/audit.ts';
import { readLockedPackages } from '../../scripts/locked-packages.ts';
import { findReleaseProblems, readChangelog, readPackageVersion } from '../../scripts/release-check.ts';
import { createSbom, type SpdxDocument } from '../../scripts/sbom.ts';
import { createNotices, noticesFile } from '../../scripts/third-party-notices.ts';

const registries = /registry\.|npmjs\.(com|org)|pythonhosted|pypi\.org/;

describe('THIRD_PARTY_NOTICES', () => {
  const committed = readFileSync(noticesFile, 'utf8');

  it('is what `npm run notices` writes', async () => {
    expect(committed, 'THIRD_PARTY_NOTICES is stale: run npm run notices').toBe(await createNotices());
  });

  it('names every package that is needed at run time, the model authors and the attribution of CC-BY data', () => {
    const needed = readLockedPackages().filter(({ folder, isDev }) => folder !== '' && !isDev);
    expect(needed.length).toBeGreaterThan(30);
    for (const { name, version, licence } of needed)
      expect(committed).toContain(`\n${name} ${version}: ${licence}\n`);
    expect(committed).toContain('model speech-detect (Silero Team): MIT');
    expect(committed).toMatch(/spdx-exceptions .*: the SPDX License List .* Linux Foundation/s);
  });

  it('names no package registry', () => {
    expect(committed).not.toMatch(registries);
  });
});

describe('the bill of materials', async () => {
  const sbom = await createSbom(new Date('2026-12-01T10:00:00.123Z'));
  const ids = sbom.packages.map(({ SPDXID }) => SPDXID);

  it('has what SPDX 2.3 requires of a document', () => {
    expect(sbom).toMatchObject({
      spdxVersion: 'SPDX-2.3',
      dataLicense: 'CC0-1.0',
      SPDXID: 'SPDXRef-DOCUMENT',
      name: `edgewise-${readPackageVersion()}`,
      documentNamespace: expect.stringMatching(/^https:\/\/[^#]+$/),
      creationInfo: { created: '2026-12-01T10:00:00Z', creators: ['Tool: edgewise-sbom'] },
    } satisfies Partial<SpdxDocument>);
    for (const id of ids) expect(id).toMatch(/^SPDXRef-[A-Za-z0-9.-]+$/);
    expect(new Set(ids).size).toBe(ids.length);
    const elements = new Set(['SPDXRef-DOCUMENT', ...ids]);
    for (const { spdxElementId, relatedSpdxElement } of sbom.relationships) {
      expect(elements).toContain(spdxElementId);
      expect(elements).toContain(relatedSpdxElement);
    }
  });

  it('has every locked package, with its licence and digest', () => {
    const listed = new Map(sbom.packages.map((each) => [`${each.name}@${each.versionInfo}`, each]));
    const locked = readLockedPackages();
    expect(locked.length).toBeGreaterThan(100);
    for (const { name, version, licence = 'NOASSERTION', integrity } of locked) {
      const found = listed.get(`${name}@${version}`);
      expect(found?.licenseDeclared).toBe(licence);
      const digest = found?.checksums?.map(({ checksumValue }) =>
        Buffer.from(checksumValue, 'hex').toString('base64'),
      );
      expect(digest).toEqual(integrity === undefined ? undefined : [integrity.replace(/^sha512-/, '')]);
    }
    expect(sbom.relationships).toContainEqual({
      spdxElementId: ids[0],
      relationshipType: 'DEPENDS_ON',
      relatedSpdxElement: ids.find((id) => id.startsWith('SPDXRef-Package-onnxruntime-web-')),
    });
  });

  it('has the sample models, and names no package registry', () => {
    expect(ids).toEqual(expect.arrayContaining(['SPDXRef-Model-mlp', 'SPDXRef-Model-speech-detect']));
    expect(JSON.stringify(sbom)).not.toMatch(registries);
  });
});

describe('CHANGELOG.md', () => {
  const text = readFileSync('CHANGELOG.md', 'utf8');

  it('begins with Unreleased, and groups entries as Keep a Changelog does', () => {
    const sections = readChangelog(text);
    expect(sections[0]?.name).toBe('Unreleased');
    const groups = sections.flatMap((section) => [...section.groups]);
    expect(groups.length).toBeGreaterThan(0);
    for (const [title, entries] of groups) {
      expect(['Breaking', 'Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security']).toContain(title);
      expect(entries.length, `entries of ${title}`).toBeGreaterThan(0);
    }
  });

  it('has a section for the version in package.json, unless no version was released yet', () => {
    const released = readChangelog(text).slice(1);
    if (released.length === 0) expect(readPackageVersion()).toBe('0.1.0');
    else expect(released[0]?.name).toBe(readPackageVersion());
  });
});

describe('findReleaseProblems()', () => {
  const ready = '# Changelog\n\n## Unreleased\n\n## 1.2.0 - 2026-12-31\n\n### Added\n- a\n';

  it('finds nothing in a changelog with an empty Unreleased and a section for the version', () => {
    expect(findReleaseProblems(ready, '1.2.0')).toEqual([]);
  });

  it.each([
    [
      'entries that are not released',
      ready.replace('Unreleased\n', 'Unreleased\n\n### Fixed\n- b\n'),
      /has entries/,
    ],
    ['a missing section', ready.replace('1.2.0', '1.1.0'), /no section "## 1\.2\.0/],
    ['a missing date', ready.replace(' - 2026-12-31', ''), /no section "## 1\.2\.0/],
    ['a missing Unreleased', ready.replace('## Unreleased\n\n', ''), /must begin with "## Unreleased"/],
  ])('names %s', (_, text, expected) => {
    expect(findReleaseProblems(text, '1.2.0').join('\n')).toMatch(expected);
  });
});

describe('readAuditReport()', () => {
  it('lists each vulnerable package', () => {
    const via = [{ title: 'Prototype pollution', url: 'https://example.com/1' }, 'b'];
    const report = { vulnerabilities: { a: { severity: 'high', range: '<2', via } } };
    expect(readAuditReport(JSON.stringify(report))).toEqual([
      'a <2 (high): Prototype pollution, https://example.com/1; through b',
    ]);
    expect(readAuditReport('{"vulnerabilities":{}}')).toEqual([]);
  });

  it.each(['', '{"message":"405 Method Not Allowed","statusCode":405}'])(
    'reads no report from %j',
    (answer) => {
      expect(readAuditReport(answer)).toBeUndefined();
    },
  );
});
