// Asks the model `digits` for the three most likely digits of a picture of 28 × 28 pixels: a vertical stroke.
const url = process.env.EDGEWISE_URL ?? 'http://localhost:8787';

const pixels = new Array(28 * 28).fill(0);
for (let row = 5; row < 23; row++) {
  pixels[row * 28 + 13] = 1;
  pixels[row * 28 + 14] = 1;
}

const response = await fetch(`${url}/v2/models/digits/infer`, {
  method: 'POST',
  body: JSON.stringify({
    inputs: [{ name: 'image', datatype: 'FP32', shape: [1, 1, 28, 28], data: pixels }],
    outputs: [{ name: 'probabilities', parameters: { classification: 3 } }],
  }),
});
const answer = await response.json();
if (!response.ok) {
  throw new Error(`${response.status} ${response.headers.get('Edgewise-Error')}: ${answer.error}`);
}

for (const entry of answer.outputs[0].data) {
  const [probability, , label] = entry.split(':');
  console.log(`${label}  ${probability}`);
}
console.log(`computed at the ${response.headers.get('Edgewise-Tier')}`);
