/**
 * What the agent leaves on the node for the plugin, for times when the agent does not answer: which namespaces there are
 * and which of them enrol, as of when. Pure: text in, a decision out.
 *
 * Fail closed: what is not known to be outside the mesh does not start.
 */

export interface NodeState {
  readonly writtenAtMs: number;
  /** Namespaces whose plain pods belong into the mesh. */
  readonly enrolled: readonly string[];
  /** Namespaces whose plain pods do not, the excluded ones among them. */
  readonly plain: readonly string[];
}

/** Below the agent's run directory. */
export const NODE_STATE_FILE = 'node-state.json';
export const MAX_NODE_STATE_BYTES = 4 * 1_048_576;

export type OfflineDecision = { readonly start: true } | { readonly start: false; readonly reason: string };

export function formatNodeState(state: NodeState): string {
  return `${JSON.stringify(state)}\n`;
}

/** `undefined` for text that no agent wrote. */
export function parseNodeState(text: string): NodeState | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { writtenAtMs, enrolled, plain } = value as Record<string, unknown>;
  if (typeof writtenAtMs !== 'number' || !isNames(enrolled) || !isNames(plain)) return undefined;
  return { writtenAtMs, enrolled, plain };
}

/** Whether a pod of `namespace` may start though the agent does not answer. */
export function decideOffline(
  state: NodeState | undefined,
  namespace: string,
  nowMs: number,
): OfflineDecision {
  if (!state)
    return {
      start: false,
      reason: `the agent has left no ${NODE_STATE_FILE}, so it is not known whether namespace ${namespace} is in the mesh`,
    };
  const age = `${Math.max(0, Math.round((nowMs - state.writtenAtMs) / 1_000))} s ago`;
  if (state.plain.includes(namespace)) return { start: true };
  const known = state.enrolled.includes(namespace) ? 'is in the mesh' : 'is not known';
  return {
    start: false,
    reason: `namespace ${namespace} ${known}, by what the agent wrote ${age} to ${NODE_STATE_FILE}`,
  };
}

function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string');
}
