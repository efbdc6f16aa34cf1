/**
 * The changes that `build-ort.ts` makes to the published onnxruntime-web, as pure functions, and the reason for each.
 * The text of every patch must be found exactly once, so an incompatible release fails here, by the patch's name, and not
 * at run time. See docs/decisions/0002-patched-onnx-runtime.md.
 */

export type Flavour = 'jspi' | 'plain';

/** The files of onnxruntime-web's `dist/` that each flavour is made from. */
export const sources = {
  jspi: 'ort-wasm-simd-threaded.jspi',
  plain: 'ort-wasm-simd-threaded',
} as const satisfies Record<Flavour, string>;

interface Patch {
  readonly name: string;
  readonly only?: Flavour;
  readonly find: RegExp;
  /** `$1`… are the groups of `find`; `MODULE` stands for the minified name of the glue's options object. */
  readonly replace: string;
}

// Closure's short names differ between releases and flavours, so patterns capture them (`\w+`, `[\w$]+`).
const patches: readonly Patch[] = [
  {
    name: 'no host detection: neither window, worker, Node nor pthread',
    find: /(\w+)=!!globalThis\.window,(\w+)=!!globalThis\.WorkerGlobalScope,(\w+)=globalThis\.process\?\.versions\?\.node&&"renderer"!=globalThis\.process\?\.type,(\w+)=\w+&&self\.name\?\.startsWith\("em-pthread"\);/g,
    replace: '$1=!1,$2=!1,$3=!1,$4=!1;',
  },
  {
    name: 'no Node set-up: it replaces the global Worker',
    find: /if\(\w+\)\{const \{createRequire:\w+\}=await import\("module"\);.*?"em-pthread"==\w+\.workerData\}/g,
    replace: '',
  },
  {
    name: 'no reading of files or URLs: the host hands over the compiled module',
    find: /if\(\w+\)\{var fs=require\("fs"\);.*?throw Error\(\w+\.status\+" : "\+\w+\.url\);\s*\}\)\}(?=var \w+=console\.log)/g,
    replace: '',
  },
  {
    name: 'output goes to the engine, not to the console',
    find: /(\w+)=console\.log\.bind\(console\),(\w+)=console\.error\.bind\(console\);\s*if\(\w+\)\{var \w+=require\("util"\).*?\+"\\n"\)\}/g,
    replace: '$1=MODULE.print,$2=MODULE.printErr;',
  },
  {
    name: 'no pthread start-up code',
    find: /if\(\w+&&\w+\)\{var \w+=\w+\.parentPort;.*?process\.exit\(1\)\}\)\}/g,
    replace: '',
  },
  {
    name: 'no shared memory to find the SharedArrayBuffer class',
    find: /\(new WebAssembly\.Memory\(\{initial:0,maximum:0,shared:!0\}\)\)\.buffer\.constructor/g,
    replace: 'ArrayBuffer',
  },
  {
    name: 'plain memory with the cap of the engine',
    find: /(\w+)=new WebAssembly\.Memory\(\{initial:256,maximum:65536,shared:!0\}\)/g,
    replace: '$1=MODULE.memory=new WebAssembly.Memory({initial:256,maximum:MODULE.maxPages})',
  },
  {
    name: 'no Atomics.waitAsync: it throws on plain memory, and there is no other thread to wait for',
    find: /(\w+)=!Atomics\.waitAsync\|\|/g,
    replace: '$1=!0||',
  },
  {
    name: 'the heap grows by the requested size, rounded up to 1 MiB, instead of a fifth of its size, to a limit that is read each time',
    find: /if\((\w+)<=(\w+)\|\|4294901760<\1\)return!1;for\(var \w+=1;4>=\w+;\w+\*=2\)\{.*?\{(\w+)\.grow\(\w+\);(\w+)\(\);var \w+=1;break \w+\}catch\(\w+\)\{\}\w+=void 0\}if\(\w+\)return!0\}return!1\}/g,
    replace:
      'if($1<=$2)return!1;var pages=Math.ceil($1/65536),rounded=Math.min(pages+15&-16,MODULE.limitPages());if(pages>rounded)return!1;try{$3.grow(rounded-$2/65536);$4();return!0}catch{return!1}}',
  },
  {
    name: 'one processor: threads are off',
    find: /\(\)=>\w+\?require\("os"\)\.cpus\(\)\.length:navigator\.hardwareConcurrency/g,
    replace: '()=>1',
  },
  {
    name: 'no threads',
    find: /new Worker\(new URL\(import\.meta\.url\),\{type:"module",workerData:"em-pthread",name:"em-pthread"\}\)/g,
    replace: '(()=>{throw Error("threads are off")})()',
  },
  {
    name: 'the compiled module comes from the host',
    find: /if\(MODULE\.instantiateWasm\)return new Promise\((?:.*?)\}\)\}\);if\(\w+\)\{var \w+=new WebAssembly\.Instance\(\w+,(\w+)\(\)\);return (\w+)\(\w+,\w+\)\}.*?return function\(\w+\)\{return \w+\(\w+\.instance,\s*\w+\.module\)\}\(await \w+\(\w+\)\)\}/g,
    replace: 'return $2(new WebAssembly.Instance(MODULE.wasmModule,$1()),MODULE.wasmModule)}',
  },
  { name: 'no import.meta', find: /(\w+)=import\.meta\.url,/g, replace: '$1="",' },
  {
    name: 'no start-up code at import',
    find: /export default ortWasmThreaded;.*$/g,
    replace: 'export default ortWasmThreaded;',
  },
  {
    name: 'only session creation may suspend; a run is an ordinary synchronous call',
    only: 'jspi',
    find: /\/\^\(OrtAppendExecutionProvider\|OrtCreateSession\|OrtRun\|OrtRunWithBinding\|OrtBindInput\|main\|__main_argc_argv\)\$\//g,
    replace: '/^OrtCreateSession$/',
  },
  {
    name: 'external weights are requested from the engine, which writes them into the heap piece by piece',
    only: 'jspi',
    find: /(function \w+\((\w+),(\w+),(\w+),(\w+),(\w+)\)\{return \w+\()async\(\)=>\{if\("undefined"==typeof MODULE\|\|!MODULE\.\w+\)return 1;let \w+=(\w+)\(Number\(\2>>>0\)\);.*?finally\{\w+&&\(MODULE\.\w+=!1\)\}\}\)\}/g,
    replace: '$1()=>MODULE.loadExternalData($7(Number($2>>>0)),$3,$4,Number($5>>>0),$6))}',
  },
];

/** Code that must not remain: it would touch the host or globals, or use shared memory. */
const forbidden =
  /import\(|import\.meta|\brequire\(|shared:!0|new Worker|createRequire|global\.Worker|process\.on/;

function unexpectedRelease(what: string, detail: string): Error {
  return new Error(
    `cannot patch this release of onnxruntime-web: ${what}: ${detail}. Compare dist/*.mjs and lib/wasm/ of the new release with ` +
      'scripts/ort-patches.ts and src/engine/ort-wasm-module.ts, then run test/engine.',
  );
}

/** Identity of a build, exported by the glue, because receipts name it. */
export interface BuildIdentity {
  /** Version of onnxruntime-web. */
  readonly version: string;
  /** Digest of the patched WASM file that the glue belongs to. */
  readonly wasmDigest: `sha256:${string}`;
}

/**
 * Returns the JavaScript glue of `flavour` with every patch applied.
 *
 * @throws Error naming the patch whose text is not found exactly once.
 */
export function patchGlue(glue: string, flavour: Flavour, { version, wasmDigest }: BuildIdentity): string {
  // Closure breaks lines between tokens only, so a blank is the same program and patterns need not span lines.
  let text = glue.replaceAll('\n', ' ');
  const moduleName =
    /^async function ortWasmThreaded\(moduleArg=\{\}\)\{var moduleRtn;var (\w+)=moduleArg,/.exec(text)?.[1];
  if (moduleName === undefined) {
    throw unexpectedRelease(flavour, 'the glue has another beginning');
  }
  for (const patch of patches) {
    if (patch.only !== undefined && patch.only !== flavour) {
      continue;
    }
    const find = new RegExp(patch.find.source.replaceAll('MODULE', moduleName), 'g');
    const found = text.match(find)?.length ?? 0;
    if (found !== 1) {
      throw unexpectedRelease(`${flavour}, "${patch.name}"`, `found ${found} times; expected once`);
    }
    text = text.replace(find, patch.replace.replaceAll('MODULE', moduleName));
  }
  const left = forbidden.exec(text)?.[0];
  if (left !== undefined) {
    throw unexpectedRelease(flavour, `"${left}" remains in the glue`);
  }
  return `// Made by scripts/build-ort.ts from onnxruntime-web ${version}. Not to be edited.\n${text}\nexport const ortVersion = ${JSON.stringify(version)};\nexport const wasmDigest = ${JSON.stringify(wasmDigest)};\n`;
}

const importSection = 2;
const memorySection = 5;
const tableKind = 1;
const memoryKind = 2;
const globalKind = 3;
const tagKind = 4;
/** Limits flags: bit 0, a maximum is given; bit 1, shared. */
const sharedWithMaximum = 3;
const plainWithMaximum = 1;

/**
 * Returns a copy of the WebAssembly binary whose memory import is not shared. The import's maximum stays at 65536 pages;
 * the memory given at run time may have a smaller one.
 *
 * @throws Error unless the binary has exactly one memory, imported, shared, with a maximum.
 */
export function clearSharedMemory(wasm: Uint8Array): Uint8Array {
  // slice() of a Buffer would be a view.
  const out = new Uint8Array(wasm);
  const [position, ...others] = findMemoryImports(out);
  if (position === undefined || others.length > 0 || out[position] !== sharedWithMaximum) {
    const count = others.length + (position === undefined ? 0 : 1);
    throw unexpectedRelease(
      'wasm',
      `found ${count} memory imports; expected one that is shared, with a maximum`,
    );
  }
  out[position] = plainWithMaximum;
  return out;
}

/** Returns the positions of the limits' flags of all memory imports. @throws Error if the module defines a memory. */
function findMemoryImports(wasm: Uint8Array): readonly number[] {
  const reader = new WasmReader(wasm);
  const positions: number[] = [];
  while (reader.at < wasm.length) {
    const section = reader.unsigned();
    const end = reader.unsigned() + reader.at;
    if (section === memorySection) {
      throw unexpectedRelease('wasm', 'the module defines a memory; expected an imported one');
    }
    if (section === importSection) {
      for (let count = reader.unsigned(); count > 0; count--) {
        reader.skipName();
        reader.skipName();
        const kind = reader.unsigned();
        if (kind === memoryKind) positions.push(reader.at);
        reader.skipImport(kind);
      }
    }
    reader.at = end;
  }
  return positions;
}

/** Reads the parts of a WebAssembly binary that lead to its memory imports. */
class WasmReader {
  readonly #bytes: Uint8Array;
  /** Position of the next byte, at first behind the magic number and version. */
  at = 8;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Reads an unsigned LEB128 number. */
  unsigned(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes[this.at++];
      if (byte === undefined || shift > 28) throw unexpectedRelease('wasm', `no number at byte ${this.at}`);
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  skipName(): void {
    const length = this.unsigned();
    this.at += length;
  }

  /** Skips the description of an import of this kind. */
  skipImport(kind: number): void {
    if (kind === tableKind || kind === globalKind || kind === tagKind) this.at += 1;
    if (kind === tableKind || kind === memoryKind) this.#skipLimits();
    else if (kind === globalKind) this.at += 1;
    else this.unsigned();
  }

  #skipLimits(): void {
    const flags = this.unsigned();
    this.unsigned();
    if ((flags & 1) === 1) this.unsigned();
  }
}
