/** The reference page: plain HTML made from the description of the API, without scripts or content of other servers. */
import { html, raw } from 'hono/html';
import type { HttpSettings } from '../settings.ts';
import { type ApiDocument, tags } from './document.ts';
import { type Operation, operationsOf } from './operations.ts';

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

export function docsPage({ serverVersion }: HttpSettings, document: ApiDocument, origin: string) {
  const operations = operationsOf(document);
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
<p>Version ${serverVersion}. Open Inference Protocol v2; any client of it works. Machine-readable: <a href="/openapi.json">openapi.json</a>.</p>
<nav aria-label="Sections">${tags.map(({ name }) => html`<a href="#${name}">${name}</a>`)}</nav>
</header>
<main>
<h2>A request</h2>
<pre tabindex="0">curl ${origin}/v2/models/mlp/infer -d '
{"inputs":[{"name":"input","datatype":"FP32",
  "shape":[1,10],"data":[1,2,3,4,5,6,7,8,9,10]}]}'</pre>
<p>Every answer tells where it was computed and by what: <code>Edgewise-Tier</code>, <code>Edgewise-Reason</code>,
<code>Edgewise-Model</code>, <code>Server-Timing</code>, <code>X-Request-Id</code>. An error is
<code>{"error": message}</code> with its code in <code>Edgewise-Error</code>.</p>
${tags.map(({ name }) => section(name, operations))}
</main>
</body>
</html>`;
}

function section(tag: string, operations: readonly Operation[]) {
  return html`<h2 id="${tag}">${tag}</h2>
<dl>${operations.filter(({ tags: own }) => own.includes(tag)).map(entry)}</dl>`;
}

function entry({ method, path, summary, description, needsAdminKey }: Operation) {
  return html`<dt><span class="verb">${method.toUpperCase()}</span> <code>${path}</code>${needsAdminKey ? html` <span class="key">admin key</span>` : ''}</dt>
<dd>${summary}.${description === undefined ? '' : ` ${description}`}</dd>`;
}
