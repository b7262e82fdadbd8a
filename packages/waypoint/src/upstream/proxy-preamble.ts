/** What an endpoint that asks for the PROXY protocol is told first: whose connection it is, and what that client dialled. */
import { familyOf } from '@ambit/core/ip';
import { proxyHeader } from '@ambit/hbone/proxy-protocol';
import type { ConnectionView } from '../decide/request-view.ts';

/** The client's port is its own affair: what reaches us is its node's. */
const UNKNOWN_PORT = 0;

/** Signature, version 2 and LOCAL, no family, nothing that follows. */
const LOCAL = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex');

/** @param client - `undefined`: the connection is the waypoint's own, such as a health check. */
export function proxyPreamble(version: 1 | 2, client: ConnectionView | undefined): Uint8Array {
  if (!client) return version === 2 ? LOCAL : Buffer.from('PROXY UNKNOWN\r\n');
  const { sourceIp, destination } = client;
  const source = { ip: sourceIp, port: UNKNOWN_PORT };
  if (version === 2) return proxyHeader(source, destination, undefined);
  const [from, to] = [familyOf(sourceIp), familyOf(destination.ip)];
  const line =
    from === to
      ? `PROXY TCP${from} ${sourceIp} ${destination.ip} ${UNKNOWN_PORT} ${destination.port}`
      : 'PROXY UNKNOWN';
  return Buffer.from(`${line}\r\n`);
}
