import { loadNodeBuild } from '../../src/engine/ort-wasm-node.ts';
import { ortWasmPairSuite } from './ort-wasm-pair-suite.ts';

ortWasmPairSuite('ort-wasm pair in Node', async () => ({
  jspi: await loadNodeBuild('jspi'),
  plain: await loadNodeBuild('plain'),
}));
