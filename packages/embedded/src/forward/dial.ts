/** Where port-forwards lead: whoever runs the pods opens the connection. */
import type { Duplex } from 'node:stream';

/** Connects to a port on a pod's loopback, as kubelet does. Rejects when nobody listens there. */
export type PodDialer = (
  pod: { readonly namespace: string; readonly name: string },
  port: number,
) => Promise<Duplex>;

/** A pod whose ports somebody asked for, and how to reach them. */
export interface ForwardTarget {
  readonly namespace: string;
  readonly name: string;
  readonly dial: (port: number) => Promise<Duplex>;
}

/** In the words of kubectl's messages. */
export const dialFailure = (port: number, target: ForwardTarget, why: string): string =>
  `an error occurred forwarding ${port} -> ${port}: error forwarding port ${port} to pod ${target.namespace}/${target.name}: ${why}`;

/** A port number in a query or a header; `undefined` if it is none. */
export function portOf(text: string): number | undefined {
  const port = Number(text);
  return /^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535 ? port : undefined;
}
