/** The PROXY protocol, version 2: tells an application behind a tunnel who is at the other end, and who they proved to be. */
import { bytesOfIp, type Endpoint } from '@ambit/core/ip';

const SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const VERSION_2_PROXY = 0x21;
const STREAM_OVER_IPV4 = 0x11;
const STREAM_OVER_IPV6 = 0x21;
/** A type of Istio's own: the peer's SPIFFE ID. */
const TLV_PEER_IDENTITY = 0xd0;

/** The header that goes before the first byte of the stream. Addresses of different families are both sent as IPv6. */
export function proxyHeader(source: Endpoint, destination: Endpoint, identity: string | undefined): Buffer {
  const from = bytesOfIp(source.ip) ?? new Uint8Array(4);
  const to = bytesOfIp(destination.ip) ?? new Uint8Array(4);
  const isV4 = from.length === 4 && to.length === 4;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  const parts: Uint8Array[] = isV4 ? [from, to, ports] : [mapped(from), mapped(to), ports];
  if (identity !== undefined) {
    const value = Buffer.from(identity);
    const head = Buffer.from([TLV_PEER_IDENTITY, value.length >> 8, value.length & 0xff]);
    parts.push(head, value);
  }
  const body = Buffer.concat(parts);
  const head = Buffer.from([
    VERSION_2_PROXY,
    isV4 ? STREAM_OVER_IPV4 : STREAM_OVER_IPV6,
    body.length >> 8,
    body.length & 0xff,
  ]);
  return Buffer.concat([SIGNATURE, head, body]);
}

function mapped(ip: Uint8Array): Uint8Array {
  if (ip.length === 16) return ip;
  const bytes = new Uint8Array(16);
  bytes.set([0xff, 0xff], 10);
  bytes.set(ip, 12);
  return bytes;
}
