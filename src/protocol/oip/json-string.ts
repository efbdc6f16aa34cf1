/** Skips strings in JSON text. */

export const quoteMark = 0x22;
const backslash = 0x5c;

/** Returns the index after the string that begins at `start`, or the end of the text. */
export function afterString(text: string, start: number): number {
  let at = start + 1;
  for (let code = text.charCodeAt(at); code !== quoteMark && at < text.length; code = text.charCodeAt(at)) {
    at += code === backslash ? 2 : 1;
  }
  return at + 1;
}
