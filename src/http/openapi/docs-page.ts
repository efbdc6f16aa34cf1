/** The reference page: plain HTML made from the table of operations, without scripts or anything from elsewhere. */
import { html, raw } from 'hono/html';
import type { HttpSettings } from '../settings.ts';
import { operations } from './document.ts';
import type { Operation } from './operation.ts';

const tags: readonly Operation['tag'][] = [
  'Inference',
  'Models',
  'Repository',
  'Health',
  'Service',
  'Admin',
  'Accounts',
  'Licences',
  'Receipts',
];

const style = `
:root { color-scheme: light dark; --line: #8884; --accent: #b8480f; }
@media (prefers-color-scheme: dark) { :root { --accent: #ff9d5c; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 0 auto; padding: 1rem; }
h1 { margin: 0.5rem 0; } h2 { margin: 2rem 0 0.5rem; border-bottom: 1px solid var(--line); }
a { color: var(--accent); } nav { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; }
nav a { padding: 0.4rem 0; }
dt { margin-top: 0.75rem; overflow-wrap: anywhere; } dd { margin: 0; }
code, pre { font: 0.9em/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; padding: 0.75rem; border: 1px solid var(--line); border-radius: 0.4rem; }
.verb { display: inline-block; min-width: 3.5em; font-weight: 700; color: var(--accent); }
.key { font-size: 0.8em; border: 1px solid var(--line); border-radius: 0.3rem; padding: 0 0.3em; }
`;

export function docsPage(settings: HttpSettings, origin: string) {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Edgewise API</title>
<style>${raw(style)}</style>
</head>
<body>
<header>
<h1>Edgewise API</h1>
<p>Version ${settings.serverVersion}. Open Inference Protocol v2; any client of it works. Machine-readable: <a href="/openapi.json">openapi.json</a>.</p>
<nav aria-label="Sections">${tags.map((tag) => html`<a href="#${tag}">${tag}</a>`)}</nav>
</header>
<main>
<h2>A request</h2>
<pre tabindex="0">curl ${origin}/v2/models/mlp/infer -d '
{"inputs":[{"name":"input","datatype":"FP32",
  "shape":[1,10],"data":[1,2,3,4,5,6,7,8,9,10]}]}'</pre>
<p>Every answer tells where it was computed and by what: <code>Edgewise-Tier</code>, <code>Edgewise-Reason</code>,
<code>Edgewise-Model</code>, <code>Server-Timing</code>, <code>X-Request-Id</code>. An error is
<code>{"error": message}</code> with its code in <code>Edgewise-Error</code>.</p>
${tags.map(section)}
</main>
</body>
</html>`;
}

function section(tag: Operation['tag']) {
  return html`<h2 id="${tag}">${tag}</h2>
<dl>${operations.filter((operation) => operation.tag === tag).map(entry)}</dl>`;
}

function entry(operation: Operation) {
  return html`<dt><span class="verb">${operation.method.toUpperCase()}</span> <code>${operation.path}</code>${operation.admin ? html` <span class="key">admin key</span>` : ''}</dt>
<dd>${operation.summary}.${operation.description === undefined ? '' : ` ${operation.description}`}</dd>`;
}
