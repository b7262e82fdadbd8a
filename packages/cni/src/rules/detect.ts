/** Which program this node's rules are applied with: found out by really trying, in this process's own namespace. */
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { PodRulesBackend } from './backend.ts';
import type { RunCommand } from './command.ts';
import { PROBE_SOURCE_V4, PROBE_SOURCE_V6 } from './constants.ts';
import { CommandError, RulesError } from './errors.ts';
import { IptablesBackend } from './iptables-backend.ts';
import { type IptablesProgram, programFor } from './iptables-program.ts';
import { NftBackend } from './nft-backend.ts';
import type { PodRules } from './pod-rules.ts';
import { renderPodIptables } from './render-iptables.ts';
import { renderPodNft } from './render-nft.ts';
import { retried } from './retry.ts';

export interface DetectOptions {
  /** `auto` prefers nftables and falls back to iptables. */
  readonly wanted: 'auto' | 'nftables' | 'iptables';
  readonly ipv6: boolean;
  /** Instead of what PATH calls `iptables`. */
  readonly iptablesProgram?: IptablesProgram;
}

export interface Detected {
  readonly backend: PodRulesBackend;
  readonly iptablesProgram: IptablesProgram;
  /** Why the first choice was not taken; `undefined` if it was. */
  readonly because?: string;
}

/**
 * @throws {@link RulesError} naming every program tried and what it said; the {@link CommandError} of one that could not be
 * started for want of what passes: a node must not get another program for that.
 */
export async function detectBackend(
  run: RunCommand,
  clock: Clock,
  options: DetectOptions,
): Promise<Detected> {
  const { wanted, ipv6, iptablesProgram = 'iptables' } = options;
  const nft = wanted === 'iptables' ? 'not wanted' : await problemOf(clock, () => tryNft(run, ipv6));
  if (nft === undefined) return { backend: new NftBackend(run, clock), iptablesProgram };
  const iptables =
    wanted === 'nftables'
      ? 'not wanted'
      : await problemOf(clock, () => tryIptables(run, iptablesProgram, ipv6));
  if (iptables !== undefined)
    throw new RulesError(
      `no program here can apply redirection rules; nft: ${nft}; ${iptablesProgram}: ${iptables}`,
    );
  const backend = new IptablesBackend(run, clock, iptablesProgram, ipv6);
  return { backend, iptablesProgram, ...(wanted === 'auto' ? { because: nft } : {}) };
}

const sample = (ipv6: boolean): PodRules => ({
  ipv6,
  dnsCapture: true,
  bypassInbound: false,
  virtualInterfaces: [],
  probeSources: { v4: PROBE_SOURCE_V4, v6: PROBE_SOURCE_V6 },
});

/** `-c` goes through the kernel and stops before the commit; listing shows whether JSON is compiled in. */
async function tryNft(run: RunCommand, ipv6: boolean): Promise<void> {
  await run({ file: 'nft', args: ['-c', '-f', '-'], stdin: renderPodNft(sample(ipv6)) });
  await run({ file: 'nft', args: ['-j', 'list', 'tables'] });
}

async function tryIptables(run: RunCommand, program: IptablesProgram, ipv6: boolean): Promise<void> {
  const args = ['--noflush', '--test', '-w', '5'];
  const stdin = renderPodIptables(sample(ipv6), 4, new Map());
  await run({ file: `${program}-restore`, args, stdin });
  if (!ipv6) return;
  const stdin6 = renderPodIptables(sample(true), 6, new Map());
  await run({ file: `${programFor(program, 6)}-restore`, args, stdin: stdin6 });
}

async function problemOf(clock: Clock, attempt: () => Promise<void>): Promise<string | undefined> {
  try {
    await retried(clock, attempt);
    return undefined;
  } catch (error) {
    if (error instanceof CommandError && error.isHindered) throw error;
    return messageOf(error);
  }
}
