/** The route and the `ip rule` that bring marked packets back to ztunnel, in a pod's namespace. */
import { readFileSync } from 'node:fs';
import type { Family } from '@ambit/core/ip';
import { runInNetns } from '@ambit/linux/netns';
import type { RunCommand } from './command.ts';
import { CommandError } from './errors.ts';
import { renderRoutes, renderRoutesRemoval } from './render-routes.ts';

/** Safe to repeat: a rule that is there already is no error. */
export async function applyRoutes(
  run: RunCommand,
  netnsFd: number,
  families: readonly Family[],
): Promise<void> {
  await Promise.all(
    families.map((family) => ipBatch(run, netnsFd, family, renderRoutes(family), /File exists/)),
  );
}

/** Safe to repeat, and without either: what is not there is no error. */
export async function removeRoutes(
  run: RunCommand,
  netnsFd: number,
  families: readonly Family[],
): Promise<void> {
  const gone = /No such (process|file or directory)|does not exist/;
  await Promise.all(
    families.map((family) => ipBatch(run, netnsFd, family, renderRoutesRemoval(family), gone)),
  );
}

/** IPv6 is often off inside a pod although the node has it; then its loopback has no addresses and takes no routes. */
export function usableFamilies(netnsFd: number, families: readonly Family[]): readonly Family[] {
  return families.filter((family) => family === 4 || !ipv6Disabled(netnsFd));
}

function ipv6Disabled(netnsFd: number): boolean {
  try {
    return (
      runInNetns(netnsFd, () => readFileSync('/proc/sys/net/ipv6/conf/lo/disable_ipv6', 'utf8')).trim() ===
      '1'
    );
  } catch {
    return false;
  }
}

async function ipBatch(
  run: RunCommand,
  netnsFd: number,
  family: Family,
  lines: string,
  harmless: RegExp,
): Promise<void> {
  const args = [`-${family}`, '-force', '-batch', '-'];
  const { exitCode, stderr } = await run({ file: 'ip', args, stdin: lines, netnsFd, accept: [0, 1] });
  if (exitCode === 0) return;
  const errors = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('Command failed'));
  const real = errors.filter((line) => !harmless.test(line));
  if (real.length > 0 || errors.length === 0) throw new CommandError('ip', exitCode, stderr.trim());
}
