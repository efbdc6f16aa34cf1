/** Lets all that can go on go on: promises settle in microtasks, and a macrotask comes after them. */
export async function letSettle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
