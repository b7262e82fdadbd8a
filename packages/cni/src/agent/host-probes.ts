/**
 * The node's own probe rules, kept in step with the enrolled pods: what the kubelet sends to an enrolled pod comes from an
 * address that the pod's rules let through.
 */
import type { Clock } from '@ambit/core/clock';
import type { RunCommand } from '../rules/command.ts';
import { retried } from '../rules/retry.ts';
import {
  type HostRules,
  isPodUid,
  type ProbedPod,
  renderHostNft,
  renderHostNftRemoval,
  renderProbeAddition,
  renderProbeRemoval,
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

export class NftHostProbes implements HostProbes {
  readonly #run: RunCommand;
  readonly #clock: Clock;
  readonly #hostNetnsFd: number;
  readonly #rules: HostRules;
  /** Whose each address is: a pod that goes must not take its successor's. */
  readonly #owners = new Map<string, string>();

  constructor(options: { run: RunCommand; clock: Clock; hostNetnsFd: number; rules: HostRules }) {
    this.#run = options.run;
    this.#clock = options.clock;
    this.#hostNetnsFd = options.hostNetnsFd;
    this.#rules = options.rules;
  }

  async start(pods: readonly ProbedPod[]): Promise<void> {
    const wanted = pods.filter(({ uid }) => isPodUid(uid));
    await this.#apply(renderHostNft(this.#rules, wanted));
    for (const { ip, uid } of wanted) this.#owners.set(ip, uid);
  }

  async add(pods: readonly ProbedPod[]): Promise<void> {
    const wanted = pods.filter(({ uid, ip }) => isPodUid(uid) && (this.#rules.ipv6 || !ip.includes(':')));
    if (wanted.length === 0) return;
    await this.#apply(renderProbeAddition(wanted));
    for (const { ip, uid } of wanted) this.#owners.set(ip, uid);
  }

  async remove(uid: string, ips: readonly string[]): Promise<void> {
    const own = ips.filter((ip) => this.#owners.get(ip) === uid);
    if (own.length === 0) return;
    await this.#apply(renderProbeRemoval(own));
    for (const ip of own) this.#owners.delete(ip);
  }

  async stop(): Promise<void> {
    await this.#apply(renderHostNftRemoval());
    this.#owners.clear();
  }

  async #apply(script: string): Promise<void> {
    await retried(this.#clock, async () => {
      await this.#run({ file: 'nft', args: ['-f', '-'], stdin: script, netnsFd: this.#hostNetnsFd });
    });
  }
}
