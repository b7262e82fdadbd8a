/** The control plane of a start as a process of its own: what it says, and that it is still there. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import { end } from '../bench/topology.ts';

interface Line {
  readonly address: string;
  readonly rootsPem: string;
  readonly atMs: number;
  readonly said: string;
  readonly typeUrl: string;
}

export interface Plane extends AsyncDisposable {
  readonly address: string;
  readonly rootPath: string;
  /** When it said what of its addresses, since the last `clear`. */
  readonly said: Map<string, number>;
  /** @throws Error when it has ended: nobody is to wait for what it was to do. */
  check(): void;
}

/**
 * Resolves when it has said where it serves.
 *
 * @param args - Of Node: a program that writes lines of JSON, as control-plane-main.ts does.
 * @throws Error when it ends before that.
 */
export async function startPlane(args: readonly string[], folder: string): Promise<Plane> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const said = new Map<string, number>();
  const { promise, resolve, reject } = Promise.withResolvers<Line>();
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text) as Line;
    if (line.address) resolve(line);
    else if (line.typeUrl === ADDRESS_TYPE_URL) said.set(line.said, line.atMs);
  });
  child.once('error', reject);
  child.once('close', () => reject(new Error(`${endOf(child)} before it said where it serves`)));
  const { address, rootsPem } = await promise;
  const rootPath = join(folder, 'root.pem');
  writeFileSync(rootPath, rootsPem);
  return {
    address,
    rootPath,
    said,
    check: () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(endOf(child));
    },
    [Symbol.asyncDispose]: () => end(child),
  };
}

/** What it wrote of its end has gone to this process's own standard error. */
function endOf({ exitCode, signalCode }: ChildProcess): string {
  return `the control plane ended (${exitCode === null ? signalCode : `exit code ${exitCode}`}; see above for what it wrote)`;
}
