/** Whether a pod may start although the agent does not answer: only one that is known to be outside the mesh. */
import type { NodeFile } from '../../node-file.ts';

export interface Silence {
  readonly socketPath: string;
  /** Why there was no answer. */
  readonly problem: string;
  readonly nodeFilePath: string;
  readonly nodeFile: NodeFile | undefined;
  readonly namespace: string;
  readonly nowMs: number;
}

export type SilenceVerdict =
  | { readonly pass: true; readonly reason: string }
  | { readonly pass: false; readonly reason: string };

export function withoutAgent(silence: Silence): SilenceVerdict {
  const { namespace, nodeFile, socketPath, problem } = silence;
  const agent = `the node agent does not answer at ${socketPath} (${problem})`;
  const file = `${silence.nodeFilePath}${nodeFile ? `, written ${ageText(silence.nowMs - nodeFile.writtenAtMs)} ago` : ''}`;
  if (!nodeFile)
    return {
      pass: false,
      reason: `${agent}, and there is no readable ${file}, so whether namespace "${namespace}" is enrolled is not known; is the istio-cni-node pod of this node running?`,
    };
  switch (nodeFile.namespaces.get(namespace)) {
    case 'outside':
      return { pass: true, reason: `${agent}; namespace "${namespace}" is outside the mesh by ${file}` };
    case 'enrolled':
      return {
        pass: false,
        reason: `${agent}, and namespace "${namespace}" is enrolled in the mesh by ${file}: the pod cannot start without its redirection; is the istio-cni-node pod of this node running?`,
      };
    case 'mixed':
      return {
        pass: false,
        reason: `${agent}, and namespace "${namespace}" has pods that are enrolled by their own label, by ${file}: whether this one is cannot be told without the agent; is the istio-cni-node pod of this node running?`,
      };
    default:
      return {
        pass: false,
        reason: `${agent}, and namespace "${namespace}" is not in ${file}: whether it is enrolled is not known; is the istio-cni-node pod of this node running?`,
      };
  }
}

const UNITS: readonly (readonly [ms: number, name: string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
];

/** In the largest unit that fits: `3 d`, `40 s`. A time in the future is 0 s: clocks are set back. */
function ageText(ms: number): string {
  const [unitMs, name] = UNITS.find(([size]) => ms >= size) ?? [1_000, 's'];
  return `${Math.max(0, Math.floor(ms / unitMs))} ${name}`;
}
