/** The port that `npm start` listens on. */
import { findFreePort } from './dev-server.ts';

/**
 * Returns the port that `text`, the value of PORT, names.
 *
 * @throws Error if `text` is not a port, or another program listens on it.
 */
export async function checkListeningPort(text = '8787'): Promise<number> {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) {
    throw new Error(`PORT is "${text}"; expected a number from 1 to 65535`);
  }
  return findFreePort(port).catch((cause: unknown) => {
    if (!String(cause).includes('EADDRINUSE')) throw cause;
    throw new Error(
      `port ${port} is in use by another program: stop that one, or choose another port, as in PORT=${port + 1} npm start`,
      { cause },
    );
  });
}
