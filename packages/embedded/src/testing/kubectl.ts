/** Real `kubectl`, run against a server under test. */
import { execFile, spawn } from 'node:child_process';
import { accessSync, constants, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** The `kubectl` on PATH; `undefined` if there is none. */
export function findKubectl(path: string): string | undefined {
  return path
    .split(':')
    .map((folder) => join(folder, 'kubectl'))
    .find(isExecutable);
}

/** Other versions installed with it, as the Google Cloud SDK does (`kubectl.1.27`). */
export function otherVersions(kubectl: string, realPath: (path: string) => string): readonly string[] {
  const folder = dirname(realPath(kubectl));
  return readdirSync(folder)
    .filter((name) => /^kubectl\.1\.\d+$/.test(name))
    .map((name) => join(folder, name));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export class Kubectl {
  readonly #binary: string;
  readonly #environment: Readonly<Record<string, string>>;

  /** @param home - A folder of its own, so that nothing cached elsewhere is used. */
  constructor(binary: string, kubeconfig: string, home: string) {
    this.#binary = binary;
    this.#environment = { KUBECONFIG: kubeconfig, HOME: home, PATH: '/usr/bin:/bin' };
  }

  run(args: readonly string[], input = ''): Promise<Ran> {
    return new Promise((resolve) => {
      const child = execFile(
        this.#binary,
        [...args],
        { env: this.#environment, timeout: 200_000, maxBuffer: 8 * 1024 * 1024 },
        (error, out, err) => resolve({ code: error ? Number(error.code ?? 1) : 0, out, err }),
      );
      child.stdin?.end(input);
    });
  }

  /** Runs in the background; dispose of it to end it. */
  start(args: readonly string[]): Disposable & { readonly output: () => string } {
    let text = '';
    const child = spawn(this.#binary, [...args], {
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const add = (chunk: Buffer) => {
      text += chunk.toString();
    };
    child.stdout.on('data', add);
    child.stderr.on('data', add);
    return { output: () => text, [Symbol.dispose]: () => void child.kill('SIGKILL') };
  }
}
