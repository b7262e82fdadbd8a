/**
 * The node's own probe rules, kept in step with the enrolled pods: what the kubelet sends to an enrolled pod comes from an
 * address that the pod's rules let through.
 */
import type { Clock } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import { bytesOfIp, familyOf } from '@ambit/core/ip';
import { LinuxError } from '@ambit/linux/errors';
import { addToInetSets } from '@ambit/linux/nf-transaction';
import type { RunCommand } from '../rules/command.ts';
import { NFT_NAT } from '../rules/constants.ts';
import { removeHostResidue } from '../rules/host-residue.ts';
import { retried } from '../rules/retry.ts';
import {
  type HostRules,
  isPodUid,
  type ProbedPod,
  renderHostNft,
  renderHostNftRemoval,
  renderProbeAddition,
  renderProbeRemoval,
  setOf,
} from '../rules/render-host.ts';

export interface HostProbes {
  /** Replaces whatever an earlier agent left. */
  start(pods: readonly ProbedPod[]): Promise<void>;
  /** An address that another pod had before is this pod's from now on. */
  add(pods: readonly ProbedPod[]): Promise<void>;
  /** Takes away the addresses that are still this pod's. */
  remove(uid: string, ips: readonly string[]): Promise<void>;
  /** Takes everything away. */
  stop(): Promise<void>;
}

export interface NftHostProbesOptions {
  readonly run: RunCommand;
  readonly clock: Clock;
  readonly hostNetnsFd: number;
  readonly rules: HostRules;
  readonly log: Pick<Logger, 'warn'>;
}

export class NftHostProbes implements HostProbes {
  readonly #options: NftHostProbesOptions;
  /** Whose each address is: a pod that goes must not take its successor's. */
  readonly #owners = new Map<string, string>();
  /** An address passes from one pod to the next, whose tasks are not in turn: one change at a time, and each sees the last. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: NftHostProbesOptions) {
    this.#options = options;
  }

  start(pods: readonly ProbedPod[]): Promise<void> {
    return this.#inTurn(async () => {
      const wanted = pods.filter(({ uid }) => isPodUid(uid));
      await this.#apply(renderHostNft(this.#options.rules, wanted));
      for (const { ip, uid } of wanted) this.#owners.set(ip, uid);
      await removeHostResidue({ ...this.#options, program: 'nft' });
    });
  }

  add(pods: readonly ProbedPod[]): Promise<void> {
    return this.#inTurn(async () => {
      const { ipv6 } = this.#options.rules;
      const wanted = pods.filter(
        ({ uid, ip }) => isPodUid(uid) && (ipv6 || !ip.includes(':')) && this.#owners.get(ip) !== uid,
      );
      if (wanted.length === 0) return;
      if (!this.#addHere(wanted))
        await this.#apply(renderProbeAddition(wanted, (ip) => this.#owners.has(ip)));
      for (const { ip, uid } of wanted) this.#owners.set(ip, uid);
    });
  }

  remove(uid: string, ips: readonly string[]): Promise<void> {
    return this.#inTurn(async () => {
      const own = ips.filter((ip) => this.#owners.get(ip) === uid);
      if (own.length === 0) return;
      await this.#apply(renderProbeRemoval(own));
      for (const ip of own) this.#owners.delete(ip);
    });
  }

  stop(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#apply(renderHostNftRemoval());
      this.#owners.clear();
    });
  }

  /**
   * Without a program, where none of them is in its set yet: all or none.
   *
   * @returns false where nft has to do it, or to say why it cannot be done.
   */
  #addHere(wanted: readonly ProbedPod[]): boolean {
    if (wanted.some(({ ip }) => this.#owners.has(ip))) return false;
    const elements = wanted.flatMap(({ ip, uid }) => {
      const key = bytesOfIp(ip);
      return key ? [{ set: setOf(familyOf(ip)), key, comment: uid }] : [];
    });
    if (elements.length < wanted.length) return false;
    try {
      addToInetSets(this.#options.hostNetnsFd, NFT_NAT, elements);
      return true;
    } catch (error) {
      if (error instanceof LinuxError) return false;
      throw error;
    }
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    const mine = this.#last.then(change);
    // A failure is told to whoever asked for the change; the next one is made all the same.
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  async #apply(script: string): Promise<void> {
    const { run, clock, hostNetnsFd } = this.#options;
    await retried(clock, async () => {
      await run({ file: 'nft', args: ['-f', '-'], stdin: script, netnsFd: hostNetnsFd });
    });
  }
}
