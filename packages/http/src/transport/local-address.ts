/** Our end of a connection that Node holds, as logs have it. */
import type { Socket } from 'node:net';
import { formatHostPort } from '@ambit/core/ip';
import { canonicalIp } from './plain-socket.ts';

/** `ip:port`; empty once it is closed, and of a socket that is not TCP's. */
export function localAddressOf({
  localAddress,
  localPort,
}: Pick<Socket, 'localAddress' | 'localPort'>): string {
  return localAddress === undefined || localPort === undefined
    ? ''
    : formatHostPort(canonicalIp(localAddress), localPort);
}
