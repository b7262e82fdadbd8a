/**
 * What stands in a namespace's nftables while iptables applies its rules from now on: both would redirect, and only one of
 * them would be taken away when the pod leaves.
 *
 * Where nft does not work, it has left nothing. Where it does, a failure is one: others change rules as well, so a
 * transaction that met theirs is made again from what stands there then, and what is still in the way after that is thrown.
 */
import type { Clock } from '@ambit/core/clock';
import type { RunCommand } from './command.ts';
import { CommandError } from './errors.ts';
import { renderPodNftRemoval } from './render-nft.ts';
import { findResidue, renderResidueRemoval } from './residue.ts';
import { isRace, retried } from './retry.ts';

/**
 * Our own tables.
 *
 * @throws {@link CommandError} with what is in the way.
 */
export async function removeNftResidue(run: RunCommand, clock: Clock, netnsFd: number): Promise<void> {
  await whereNftWorks(run, clock, netnsFd, async () => {
    await run({ file: 'nft', args: ['-f', '-'], stdin: renderPodNftRemoval(), netnsFd });
  });
}

/**
 * Our own tables, and the chains of an iptables that keeps its rules in nftables: for one that does not.
 *
 * @throws {@link CommandError} with what is in the way.
 */
export async function removeNftAndIptablesNftResidue(
  run: RunCommand,
  clock: Clock,
  netnsFd: number,
): Promise<void> {
  await whereNftWorks(run, clock, netnsFd, async () => {
    const listed = await run({ file: 'nft', args: ['-j', 'list', 'ruleset'], netnsFd });
    const removal = renderResidueRemoval(findResidue(listed.stdout));
    await run({ file: 'nft', args: ['-f', '-'], stdin: `${removal}${renderPodNftRemoval()}`, netnsFd });
  });
}

/** Tries again what met others; a failure where nft does not work at all is none. */
export async function whereNftWorks(
  run: RunCommand,
  clock: Clock,
  netnsFd: number,
  remove: () => Promise<void>,
): Promise<void> {
  try {
    await retried(clock, remove);
  } catch (error) {
    if (!(error instanceof CommandError) || (await nftWorks(run, clock, netnsFd))) throw error;
  }
}

/** By the trial that chooses the node's program, too. What cannot be told, as nft is slow or hindered, counts as working. */
async function nftWorks(run: RunCommand, clock: Clock, netnsFd: number): Promise<boolean> {
  try {
    await retried(clock, async () => {
      await run({ file: 'nft', args: ['-j', 'list', 'tables'], netnsFd });
    });
    return true;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const wasEnded = error.exitCode === undefined && !error.isMissing;
    return wasEnded || isRace(error);
  }
}
