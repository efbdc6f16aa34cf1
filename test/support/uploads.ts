/** Uploads like an attacker's: many at once, each over its own socket, and none finished. */
import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';

export interface UploadAttempt {
  /** `Content-Length`; undefined: chunked. */
  readonly declaredBytes: number | undefined;
  readonly sentBytes: number;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface UploadOutcome {
  /** Status of the answer; undefined if the connection ended without an answer. */
  readonly status: number | undefined;
  readonly code: string | undefined;
  readonly retryAfter: string | undefined;
  readonly endedAfterMs: number;
}

const piece = Buffer.alloc(64 * 1024, 0x20);

/** Sends one upload and waits for the answer, or the end of the connection. */
export function attemptUpload(url: string, attempt: UploadAttempt): Promise<UploadOutcome> {
  const { hostname, port } = new URL(url);
  const beganMs = performance.now();
  const socket = connect(Number(port), hostname);
  let answer = '';
  let left = attempt.sentBytes;
  const isChunked = attempt.declaredBytes === undefined;

  const send = (): void => {
    while (left > 0 && !socket.destroyed && answer === '') {
      const bytes = piece.subarray(0, Math.min(left, piece.byteLength));
      left -= bytes.byteLength;
      const framed = isChunked
        ? [Buffer.from(`${bytes.byteLength.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]
        : [bytes];
      if (!socket.write(Buffer.concat(framed))) {
        socket.once('drain', send);
        return;
      }
    }
  };
  socket.on('connect', () => {
    const length = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${attempt.declaredBytes}`;
    const headers = Object.entries(attempt.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(
      `POST ${attempt.path} HTTP/1.1\r\nHost: ${hostname}\r\n${length}\r\n${headers.join('')}\r\n`,
    );
    send();
  });
  socket.on('error', () => undefined);
  return new Promise((resolve) => {
    const end = (): void => {
      const header = (name: string) => new RegExp(`^${name}: *(.*?)\r$`, 'im').exec(answer)?.[1];
      const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1];
      resolve({
        status: status === undefined ? undefined : Number(status),
        code: header('Edgewise-Error'),
        retryAfter: header('Retry-After'),
        endedAfterMs: performance.now() - beganMs,
      });
      socket.destroy();
    };
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
      if (answer.includes('\r\n\r\n')) end();
    });
    socket.on('close', end);
  });
}

export interface MemoryWatch {
  /** Highest resident memory of the processes so far, in bytes. */
  peakBytes(): number;
  stop(): void;
}

/** Watches the processes below `pid`, itself included, whose command contains `command`. */
export function watchMemory(pid: number, command: string): MemoryWatch {
  let peak = 0;
  const look = () => {
    peak = Math.max(peak, residentBytes(pid, command));
  };
  look();
  const timer = setInterval(look, 100);
  return {
    peakBytes() {
      look();
      return peak;
    },
    stop: () => clearInterval(timer),
  };
}

function residentBytes(root: number, command: string): number {
  const { stdout } = spawnSync('ps', ['-axo', 'pid=,ppid=,rss=,args='], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  const processes = stdout.split('\n').flatMap((line) => {
    const [, pid, parent, kibibytes, args = ''] = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
    return pid === undefined
      ? []
      : [{ pid: Number(pid), parent: Number(parent), bytes: Number(kibibytes) * 1024, args }];
  });
  const family = new Set([root]);
  for (let before = 0; before !== family.size; ) {
    before = family.size;
    for (const { pid, parent } of processes) if (family.has(parent)) family.add(pid);
  }
  return processes
    .filter(({ pid, args }) => family.has(pid) && args.includes(command))
    .reduce((sum, { bytes }) => sum + bytes, 0);
}
