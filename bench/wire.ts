/**
 * Compares binary tensors with JSON for a picture of 1×3×320×320 floats, with a model that computes hardly anything, so that
 * the encoding dominates, and with the detector. One worker, one connection, alternating slices. `npm run bench -- wire`
 */
import { binaryBody, jsonBody, randomInput } from './bodies.ts';
import { channelMeans } from './generated-models.ts';
import { Connection, measureLatencies, requestBytes } from './load.ts';
import { median, quantiles } from './quantiles.ts';
import { formatFigure, publish } from './report.ts';
import { bundle, edgewiseBindings, runEdgewise, startWorkerd, temporaryFolder } from './workerd.ts';

const rounds = 9;
const picture = randomInput('x', [1, 3, 320, 320]);
const forms = { JSON: jsonBody(picture), binary: binaryBody(picture) };

const server = await startWorkerd({ bundle: await bundle('wrangler.toml'), bindings: edgewiseBindings() });
const models = [
  { name: 'channel-means', folder: channelMeans(temporaryFolder('models')).folder, perRound: 20 },
  { name: 'ocr-detect', folder: 'models/ocr-detect', perRound: 8 },
];
const connection = await Connection.open(server.url);
const results = [];
for (const { name, folder, perRound } of models) {
  await runEdgewise(server.url, ['model', 'push', folder]);
  const sides = Object.entries(forms).map(([form, body]) => ({
    form,
    bytes: requestBytes(server.url, `/v2/models/${name}/infer`, body),
    bodyBytes: body.body.byteLength,
    p50s: [] as number[],
  }));
  for (const { bytes } of sides) await measureLatencies(connection, bytes, perRound);
  for (let round = 0; round < rounds; round++) {
    for (const { bytes, p50s } of Math.random() < 0.5 ? sides : sides.toReversed()) {
      p50s.push(quantiles(await measureLatencies(connection, bytes, perRound)).p50);
    }
  }
  results.push({ name, sides: sides.map(({ form, bodyBytes, p50s }) => ({ form, bodyBytes, p50s })) });
}
connection.close();
await server.stop();

publish({
  name: 'wire',
  tables: [
    {
      columns: [
        'model',
        'JSON body, MB',
        'binary body, MB',
        'JSON p50, ms',
        'binary p50, ms',
        'JSON / binary',
      ],
      rows: results.map(({ name, sides }) => {
        const [json, binary] = ['JSON', 'binary'].map((name) => {
          const side = sides.find(({ form }) => form === name);
          return { megabytes: (side?.bodyBytes ?? 0) / 1e6, ms: median(side?.p50s ?? []) };
        });
        return [
          name,
          formatFigure(json?.megabytes ?? 0),
          formatFigure(binary?.megabytes ?? 0),
          formatFigure(json?.ms ?? 0),
          formatFigure(binary?.ms ?? 0),
          ((json?.ms ?? 0) / (binary?.ms ?? 1)).toFixed(2),
        ];
      }),
    },
  ],
  raw: results,
});
