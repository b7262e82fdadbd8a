/**
 * What a stopping agent leaves on the node: everything, if another one will come after it; nothing, if it was removed.
 *
 * While an upgrade replaces the agent, the plugin stays and holds back new pods of the mesh. After an uninstall it would
 * do so for ever, and a list of our own as well: after the node's next start, or in a new namespace, no pod at all could
 * start. It is kept where the agent is told to clean up at each stop though another one comes: it was asked for so that
 * pods fail meanwhile. Who cannot ask leaves everything: an API server that is silent uninstalls nothing, and without the
 * plugin pods of the mesh would start outside it.
 */
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { statusOf } from '@ambit/kube/errors';
import { daemonSets, nodes } from '@ambit/kube/resources/core';
import { STOP_DECISION_RETRIES, STOP_DECISION_RETRY_MS, STOP_DECISION_TIMEOUT_MS } from '../../limits.ts';
import { AGENT_DAEMON_SET } from '../../names.ts';
import { mayRunOn } from './node-affinity.ts';

export interface StopDecision {
  /** `own list`: of a CNI configuration that is the agent's own, that and the plugin; of a chained one, nothing. */
  readonly keep: 'everything' | 'own list' | 'nothing';
  readonly reason: string;
}

export interface StopOptions {
  readonly client: KubeClient;
  readonly podNamespace: string;
  readonly nodeName: string;
  /** `AMBIENT_DISABLE_SAFE_UPGRADE` */
  readonly safeUpgradeDisabled: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

export async function decideStop(options: StopOptions, signal: AbortSignal): Promise<StopDecision> {
  if (options.safeUpgradeDisabled) return { keep: 'own list', reason: 'safe upgrade is disabled' };
  for (let left = STOP_DECISION_RETRIES; ; left -= 1) {
    const once = AbortSignal.any([signal, AbortSignal.timeout(STOP_DECISION_TIMEOUT_MS)]);
    try {
      return await ask(options, once);
    } catch (error) {
      const reason = `the API server did not say whether ${AGENT_DAEMON_SET} still exists: ${messageOf(error)}`;
      if (left === 0 || signal.aborted) return { keep: 'everything', reason };
      options.log.warn('asking what to leave behind failed', { error: messageOf(error) });
      await options.clock.sleep(STOP_DECISION_RETRY_MS, signal).catch(() => undefined);
    }
  }
}

/** @throws whatever leaves the question open. */
async function ask(
  { client, podNamespace, nodeName }: StopOptions,
  signal: AbortSignal,
): Promise<StopDecision> {
  try {
    const at = { namespace: podNamespace, name: AGENT_DAEMON_SET };
    const daemonSet = await client.find(daemonSets, at, signal);
    if (!daemonSet) return { keep: 'nothing', reason: `there is no DaemonSet ${AGENT_DAEMON_SET} any more` };
    if (daemonSet.metadata.deletionTimestamp !== undefined)
      return { keep: 'nothing', reason: `DaemonSet ${AGENT_DAEMON_SET} is being deleted` };
    const node = nodeName === '' ? undefined : await client.find(nodes, { name: nodeName }, signal);
    if (node && !mayRunOn(daemonSet.spec?.template?.spec, node))
      return { keep: 'nothing', reason: `DaemonSet ${AGENT_DAEMON_SET} no longer selects node ${nodeName}` };
    return {
      keep: 'everything',
      reason: `DaemonSet ${AGENT_DAEMON_SET} is there and will replace this agent`,
    };
  } catch (error) {
    // That is an answer: an account that goes before its agent goes with the whole installation. Should the pod alone have
    // been deleted by force, the next agent installs the plugin again.
    if (statusOf(error) === 401) return { keep: 'nothing', reason: 'this agent’s account is gone' };
    throw error;
  }
}
