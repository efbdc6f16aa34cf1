/** The Python environments and commands of Triton, MLServer and Ray Serve on this machine. */
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findFreePort, root } from '../../scripts/dev-server.ts';
import { ensurePythonEnvironment } from '../../scripts/python-environment.ts';
import type { ServerOptions } from './child.ts';

export type ServerName = 'triton' | 'mlserver' | 'ray';

const requirements: Readonly<Record<ServerName, string>> = {
  triton: join(import.meta.dirname, 'triton', 'requirements.txt'),
  mlserver: join(root, 'deploy', 'mlserver', 'requirements.txt'),
  ray: join(root, 'deploy', 'ray', 'requirements.txt'),
};

/** Returns the interpreter of the environment that has the server. */
export function serverPython(name: ServerName): Promise<string> {
  return ensurePythonEnvironment({
    folder: join(root, '.venv', name),
    requirements: requirements[name],
    complete: true,
  });
}

function ask(python: string, expression: string): string {
  return execFileSync(python, ['-c', `import sys, sysconfig; print(${expression})`], {
    encoding: 'utf8',
  }).trim();
}

/**
 * Prepares `tritonserver` from the wheel of nvidia-pytriton for a repository of `edgewise model pull --triton`.
 *
 * @param scratch A folder for its back ends.
 * @throws Error if Python's shared library, which the Python back end needs, is missing.
 */
export async function triton(
  python: string,
  repository: string,
  scratch: string,
  port: number,
): Promise<ServerOptions> {
  const packages = ask(python, "sysconfig.get_path('purelib')");
  const version = ask(python, "'%d.%d' % sys.version_info[:2]");
  const wheel = join(packages, 'pytriton', 'tritonserver');
  const backends = join(scratch, 'backends');
  await mkdir(join(backends, 'python'), { recursive: true });
  const parts = [
    ...(await readdir(join(wheel, 'backends', 'python'))).map((file) => join('backends', 'python', file)),
    join('python_backend_stubs', version, 'triton_python_backend_stub'),
  ].filter((file) => !file.includes('__pycache__'));
  for (const file of parts) {
    await copyFile(join(wheel, file), join(backends, 'python', file.split('/').at(-1) ?? file));
  }
  await symlink(join(import.meta.dirname, 'triton', 'onnxruntime'), join(backends, 'onnxruntime'));
  const libraries = `${join(packages, 'nvidia_pytriton.libs')}:${ask(python, "sysconfig.get_config_var('LIBDIR')")}`;
  requirePythonLibrary(join(backends, 'python', 'triton_python_backend_stub'), libraries, version);
  return {
    name: 'Triton',
    command: [
      join(wheel, 'bin', 'tritonserver'),
      `--model-repository=${repository}`,
      `--backend-directory=${backends}`,
      '--http-address=127.0.0.1',
      `--http-port=${port}`,
      '--allow-grpc=false',
      '--allow-metrics=false',
      '--disable-auto-complete-config',
    ],
    env: {
      // The Python back end starts the first interpreter on the path.
      PATH: `${join(root, '.venv', 'triton', 'bin')}:${process.env['PATH'] ?? ''}`,
      PYTHONPATH: packages,
      PYTHONDONTWRITEBYTECODE: '1',
      LD_LIBRARY_PATH: libraries,
    },
    readyUrl: `http://127.0.0.1:${port}/v2/health/ready`,
  };
}

function requirePythonLibrary(stub: string, libraries: string, version: string): void {
  const linked = execFileSync('ldd', [stub], {
    encoding: 'utf8',
    env: { ...process.env, LD_LIBRARY_PATH: libraries },
  });
  if (/libpython\S+ => not found/.test(linked)) {
    throw new Error(
      `Triton's Python back end needs libpython${version}.so.1.0, which is missing; run apt-get install libpython${version}`,
    );
  }
}

/** Prepares MLServer with the runtime of `deploy/mlserver` for folders of `edgewise model pull`. */
export async function mlserver(python: string, models: string, port: number): Promise<ServerOptions> {
  for (const name of await readdir(models)) {
    const manifest: { readonly version: string } = JSON.parse(
      await readFile(join(models, name, 'manifest.json'), 'utf8'),
    );
    const settings = {
      name,
      implementation: 'edgewise_mlserver.OnnxModel',
      parameters: { uri: '.', version: manifest.version },
    };
    await writeFile(join(models, name, 'model-settings.json'), JSON.stringify(settings));
  }
  return {
    name: 'MLServer',
    command: [join(python, '..', 'mlserver'), 'start', models],
    env: {
      PYTHONPATH: join(root, 'deploy', 'mlserver'),
      PYTHONDONTWRITEBYTECODE: '1',
      MLSERVER_HOST: '127.0.0.1',
      MLSERVER_HTTP_PORT: String(port),
      MLSERVER_GRPC_PORT: String(await findFreePort()),
      MLSERVER_METRICS_PORT: String(await findFreePort()),
      MLSERVER_PARALLEL_WORKERS: '0',
    },
    readyUrl: `http://127.0.0.1:${port}/v2/health/ready`,
  };
}

export interface RayOptions {
  readonly python: string;
  /** The worker that has the models. */
  readonly repository: { readonly url: string; readonly adminKey: string };
  readonly scratch: string;
  readonly port: number;
  /** Marks the environment of all its processes. */
  readonly mark: string;
  /** Key that callers must send. */
  readonly key: string;
}

/** Prepares the application of `deploy/ray` with its serve.yaml: a local cluster with two replicas of each part. */
export async function ray({
  python,
  repository,
  scratch,
  port,
  mark,
  key,
}: RayOptions): Promise<ServerOptions> {
  const folder = join(root, 'deploy', 'ray');
  const config = (await readFile(join(folder, 'serve.yaml'), 'utf8'))
    .replace('http://localhost:8787', repository.url)
    .replace('port: 8100', `port: ${port}`)
    .replace('providers: [', `cache: ${join(scratch, 'cache')}\n      providers: [`);
  const file = join(scratch, 'serve.yaml');
  await writeFile(file, config);
  return {
    name: 'Ray Serve',
    command: [join(python, '..', 'serve'), 'run', file],
    cwd: folder,
    env: {
      EDGEWISE_ADMIN_KEY: repository.adminKey,
      EDGEWISE_CALLER_KEYS_SHA256: createHash('sha256').update(key).digest('hex'),
      EDGEWISE_TEST_MARK: mark,
      // Otherwise Ray writes a token into the home folder.
      RAY_AUTH_TOKEN: randomBytes(32).toString('hex'),
      RAY_USAGE_STATS_ENABLED: '0',
      // Paths of sockets have at most 107 characters.
      RAY_TMPDIR: scratch,
      PYTHONDONTWRITEBYTECODE: '1',
    },
    readyUrl: `http://127.0.0.1:${port}/v2/health/ready`,
    stopSignal: 'SIGINT',
  };
}
