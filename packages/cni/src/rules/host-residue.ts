/**
 * What an earlier agent left of the node's probe rules, with another program than the one that applies them now.
 *
 * It does no harm to connections: the first translation counts. But nobody keeps its addresses current or takes it away
 * when the mesh goes.
 */
import { existsSync } from 'node:fs';
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Family } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import type { RunCommand } from './command.ts';
import { IPTABLES_POSTROUTING } from './constants.ts';
import { CommandError } from './errors.ts';
import { type IptablesProgram, programFor, usesLegacyTables } from './iptables-program.ts';
import { hasLegacyTables } from './legacy-residue.ts';
import { removeNftResidue, whereNftWorks } from './nft-residue.ts';
import { jumpsInSaved, renderHostIptablesRemoval, renderIpsetDestruction } from './render-host.ts';
import { findResidue, renderResidueRemoval } from './residue.ts';
import { retried } from './retry.ts';

export interface HostResidueOptions {
  readonly run: RunCommand;
  readonly clock: Clock;
  readonly hostNetnsFd: number;
  /** What applies the rules now. */
  readonly program: 'nft' | IptablesProgram;
  readonly log: Pick<Logger, 'warn'>;
}

/** Never rejects: the rules that are in force now do without this, so what is in the way is said and stays. */
export async function removeHostResidue(options: HostResidueOptions): Promise<void> {
  const { program, run, clock, hostNetnsFd, log } = options;
  const told = (error: unknown) => {
    // A program that is not there has left nothing, as far as can be told.
    if (error instanceof CommandError && error.isMissing) return;
    log.warn('probe rules of an earlier agent stay on the node', { error: messageOf(error) });
  };
  if (program === 'nft') {
    await removeIptablesNft(options).catch(told);
    await removeLegacy(options).catch(told);
    await removeIpsets(options).catch(told);
    return;
  }
  await removeNftResidue(run, clock, hostNetnsFd).catch(told);
  const isLegacy = usesLegacyTables(run, program);
  await isLegacy.then((legacy) => (legacy ? removeIptablesNft : removeLegacy)(options)).catch(told);
}

/** Both sets, once no rule names them: the kernel lets go of a rule's set a moment after the rule is gone. */
export async function removeIpsets({
  run,
  clock,
  hostNetnsFd,
}: Pick<HostResidueOptions, 'run' | 'clock' | 'hostNetnsFd'>): Promise<void> {
  // Asking would load the module on a node that has never had a set.
  if (!existsSync('/sys/module/ip_set')) return;
  await retried(clock, async () => {
    const { stdout } = await run({ file: 'ipset', args: ['list', '-name'], netnsFd: hostNetnsFd });
    const stdin = renderIpsetDestruction(new Set(stdout.split('\n')));
    if (stdin !== '') await run({ file: 'ipset', args: ['restore'], stdin, netnsFd: hostNetnsFd });
  });
}

/** A node has rules for every service beside ours, so chains alone are listed, and rules of the one that leads to ours. */
async function removeIptablesNft({ run, clock, hostNetnsFd: netnsFd }: HostResidueOptions): Promise<void> {
  await whereNftWorks(run, clock, netnsFd, async () => {
    const chains = await run({ file: 'nft', args: ['-j', 'list', 'chains'], netnsFd });
    const ours = findResidue(chains.stdout).chains.filter(({ name }) => name === IPTABLES_POSTROUTING);
    for (const chain of ours) {
      const { family, table } = chain;
      const args = ['-j', 'list', 'chain', family, table, 'POSTROUTING'];
      const { jumps } = findResidue((await run({ file: 'nft', args, netnsFd })).stdout);
      const stdin = renderResidueRemoval({ chains: [chain], jumps });
      await run({ file: 'nft', args: ['-f', '-'], stdin, netnsFd });
    }
  });
}

async function removeLegacy({ run, clock, hostNetnsFd: netnsFd }: HostResidueOptions): Promise<void> {
  const families: readonly Family[] = [4, 6];
  for (const family of families) {
    if (!hasLegacyTables(netnsFd, family)) continue;
    const program = programFor('iptables-legacy', family);
    await retried(clock, async () => {
      const saved = await run({ file: `${program}-save`, args: ['-t', 'nat'], netnsFd });
      const jumps = jumpsInSaved(saved.stdout);
      if (jumps === undefined) return;
      const args = ['--noflush', '-w', '5'];
      await run({ file: `${program}-restore`, args, stdin: renderHostIptablesRemoval(jumps), netnsFd });
    });
  }
}
