/** Who this process is, from the downward API; without it, as on a developer's machine, the host's name. */
import { hostname } from 'node:os';
import type { Description } from './messages.ts';

export interface Self {
  readonly pod: string;
  readonly namespace: string;
  readonly node: string;
  /** What is wrong with every answer of HTTP but `/ready`; the control port changes it. */
  amiss?: Amiss;
  /** By path; {@link MAX_PATHS_COUNTED} of them. */
  readonly timesAsked: Map<string, number>;
}

export const MAX_PATHS_COUNTED = 1_024;

export interface Amiss {
  readonly delayMs: number;
  /** In place of 200; 0: nothing. */
  readonly status: number;
}

export function selfFrom(env: NodeJS.ProcessEnv): Self {
  return {
    pod: env['POD_NAME'] ?? hostname(),
    namespace: env['POD_NAMESPACE'] ?? '',
    node: env['NODE_NAME'] ?? '',
    timesAsked: new Map(),
    amiss: { delayMs: Number(env['DELAY_MS'] ?? 0), status: Number(env['STATUS'] ?? 0) },
  };
}

/** @param source - The peer's address; the IPv4-mapped form of a dual-stack socket is taken off. */
export function describe(
  { pod, namespace, node }: Self,
  source: string | undefined,
  protocol: string,
): Description {
  return { pod, namespace, node, source: (source ?? '').replace(/^::ffff:/, ''), protocol };
}
