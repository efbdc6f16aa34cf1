/** Waits until all pending promises have settled: they settle in microtasks, and a macrotask runs after them. */
export async function letSettle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
