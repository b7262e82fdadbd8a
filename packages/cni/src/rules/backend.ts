/**
 * What applies a pod's rules: one interface, an nftables and an iptables implementation.
 *
 * Enrolment calls `apply`; leaving the mesh calls `removeRedirects`, lets ztunnel finish what it has, then `remove`.
 * Each may be called again after a failure, and each leaves the pod as it was if it fails before its transaction.
 */
import type { Unforgotten } from './forget-connections.ts';
import type { PodRules } from './pod-rules.ts';

export interface PodRulesBackend {
  readonly name: 'nftables' | 'iptables';
  /**
   * Does once what would have to be done for each pod that gets these rules. They need not be prepared.
   *
   * @throws whatever keeps it from that; they can be applied all the same.
   */
  prepare(rules: PodRules): Promise<void>;
  /** Routes first, then everything else at once; whatever Istio's agent left is replaced. */
  apply(netnsFd: number, rules: PodRules): Promise<void>;
  /** Whether any rules of ours do, as far as this one applies them: of a pod that is not known to have been in the mesh. */
  stand(netnsFd: number): Promise<boolean>;
  /** Nothing new is redirected; what is redirected already goes on. */
  removeRedirects(netnsFd: number): Promise<void>;
  /** Leaves nothing of ours, nor of Istio's; but for connections that could not be forgotten, if it says so. */
  remove(netnsFd: number): Promise<Unforgotten | undefined>;
}
