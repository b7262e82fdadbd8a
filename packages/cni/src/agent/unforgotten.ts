/**
 * Tells of pods that left the mesh while the kernel still tracks connections of theirs (rules/forget-connections.ts says what
 * that may do to them): each is counted, and the first for each reason is a warning with what to do.
 */
import type { Logger } from '@ambit/core/log';
import type { Counter, MetricRegistry } from '@ambit/core/metrics';
import type { ZdsPod } from '@ambit/zds/messages';
import type { Unforgotten } from '../rules/forget-connections.ts';

const ADVICE: Readonly<Record<Unforgotten, string>> = {
  'too-many':
    'its namespace tracks more connections than are looked at; restart the pod before it comes into the mesh again, or wait until they have ended',
  unsupported:
    'this kernel has no ctnetlink (CONFIG_NF_CT_NETLINK, module nf_conntrack_netlink): load it, or restart such pods before they come into the mesh again',
  failed:
    'the kernel did not forget its DNS queries just then; where it has NAT rules of its own, a client that goes on asking from the same port has no answer: restart it',
};

export class UnforgottenConnections {
  readonly #log: Logger;
  readonly #pods: Counter<'reason'>;
  readonly #warnedOf = new Set<Unforgotten>();

  constructor(registry: MetricRegistry, log: Logger) {
    this.#log = log;
    this.#pods = registry.counter({
      name: 'ambit_cni_unforgotten',
      help: 'Pods that left the mesh with connections still tracked, by why',
      labels: ['reason'],
    });
  }

  /** @param why - `undefined`: nothing is left of it. */
  tell({ namespace, name }: ZdsPod, why: Unforgotten | undefined): void {
    if (why === undefined) return;
    this.#pods.inc({ reason: why });
    const level = this.#warnedOf.has(why) ? 'debug' : 'warn';
    this.#warnedOf.add(why);
    this.#log[level]('a pod has left the mesh, and connections of it are tracked still', {
      pod: `${namespace}/${name}`,
      reason: why,
      advice: ADVICE[why],
    });
  }
}
