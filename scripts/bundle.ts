/** Bundles the worker as a deployment would (`wrangler deploy --dry-run`), prints its size, and fails if it exceeds the budget. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './dev-server.ts';

/** Cloudflare's limit is 64 MiB uncompressed. The two builds of ONNX Runtime are most of the total, zod is a quarter of the script. */
const budgetBytes = { script: 1.75 * 1024 * 1024, total: 34 * 1024 * 1024 };

const outDir = mkdtempSync(join(tmpdir(), 'edgewise-bundle-'));
try {
  const wrangler = join(root, 'node_modules/wrangler/bin/wrangler.js');
  const run = spawnSync(process.execPath, [wrangler, 'deploy', '--dry-run', '--outdir', outDir], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', CI: 'true' },
  });
  if (run.status !== 0) {
    throw new Error(`wrangler deploy --dry-run ended with ${run.status}\n${run.stdout}\n${run.stderr}`);
  }
  const sizes = readdirSync(outDir)
    .filter((file) => /\.(js|wasm|bin)$/.test(file))
    .map((file) => ({ file, bytes: statSync(join(outDir, file)).size }));
  for (const { file, bytes } of sizes) {
    console.log(`${formatMebibytes(bytes)}  ${file}`);
  }
  const script = sum(sizes.filter(({ file }) => file.endsWith('.js')));
  const total = sum(sizes);
  console.log(
    `${formatMebibytes(total)}  total (budget ${formatMebibytes(budgetBytes.total)}), script ${formatMebibytes(script)} (budget ${formatMebibytes(budgetBytes.script)})`,
  );
  if (total === 0 || total > budgetBytes.total || script > budgetBytes.script) {
    throw new Error('the bundle exceeds its budget: remove code, or raise budgetBytes in scripts/bundle.ts');
  }
} finally {
  rmSync(outDir, { recursive: true });
}

function sum(sizes: readonly { readonly bytes: number }[]): number {
  return sizes.reduce((total, { bytes }) => total + bytes, 0);
}

function formatMebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(2).padStart(6)} MiB`;
}
