/** Who this process is, from the downward API; without it, as on a developer's machine, the host's name. */
import { hostname } from 'node:os';
import type { Description } from './messages.ts';

export interface Self {
  readonly pod: string;
  readonly namespace: string;
  readonly node: string;
}

export function selfFrom(env: NodeJS.ProcessEnv): Self {
  return {
    pod: env['POD_NAME'] ?? hostname(),
    namespace: env['POD_NAMESPACE'] ?? '',
    node: env['NODE_NAME'] ?? '',
  };
}

/** @param source - The peer's address; the IPv4-mapped form of a dual-stack socket is taken off. */
export function describe(self: Self, source: string | undefined, protocol: string): Description {
  return { ...self, source: (source ?? '').replace(/^::ffff:/, ''), protocol };
}
