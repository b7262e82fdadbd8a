/** What an endpoint that asks for the PROXY protocol is told first: whose connection it is, and what that client dialled. */
import { familyOf } from '@ambit/core/ip';
import { proxyHeader } from '@ambit/hbone/proxy-protocol';
import type { ConnectionView } from '../decide/request-view.ts';

/** The client's port is its own affair: what reaches us is its node's. */
const UNKNOWN_PORT = 0;

export function proxyPreamble(version: 1 | 2, { sourceIp, destination }: ConnectionView): Uint8Array {
  const source = { ip: sourceIp, port: UNKNOWN_PORT };
  if (version === 2) return proxyHeader(source, destination, undefined);
  const [from, to] = [familyOf(sourceIp), familyOf(destination.ip)];
  const line =
    from === to
      ? `PROXY TCP${from} ${sourceIp} ${destination.ip} ${UNKNOWN_PORT} ${destination.port}`
      : 'PROXY UNKNOWN';
  return Buffer.from(`${line}\r\n`);
}
