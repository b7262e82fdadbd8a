/**
 * What a namespace's connection tracking remembers, forgotten: ctnetlink (linux/netfilter/nfnetlink_conntrack.h).
 *
 * The kernel keeps what it tracked for minutes, TCP that was not seen to end for days, also when nothing in the namespace
 * needs tracking any more; and goes by it once something does.
 */
import { ENOENT } from './errno.ts';
import { memory } from './libc.ts';
import { MAX_LISTED_CONNECTIONS } from './limits.ts';
import { attributes, type Dumped, dumpNetlink, NETLINK_NETFILTER, orderNetlink } from './netlink.ts';

const CTNETLINK_GET = (1 << 8) | 1;
const CTNETLINK_DELETE = (1 << 8) | 2;
const NFGENMSG_BYTES = 4;
const ATTRIBUTE_HEADER_BYTES = 4;
const NLA_F_NESTED = 0x8000;

const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_STATUS = 3;
const CTA_PROTOINFO = 4;
const CTA_MARK = 8;
const CTA_ID = 12;
const CTA_ZONE = 18;
const CTA_MARK_MASK = 21;
const CTA_PROTOINFO_TCP = 1;
const CTA_PROTOINFO_TCP_STATE = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const IPPROTO_UDP = 17;

const IPS_SRC_NAT = 1 << 4;
const IPS_DST_NAT = 1 << 5;
/** TIME_WAIT, CLOSE: a SYN begins anew from the one, and the other lasts seconds. */
const ENDED_STATES: ReadonlySet<number> = new Set([7, 8]);

/**
 * Forgets every connection whose mark is `mark` in the bits of `mask`.
 *
 * @throws {@link LinuxError} EPERM without CAP_NET_ADMIN, EINVAL or EOPNOTSUPP if the kernel has no ctnetlink.
 */
export function forgetMarked(netnsFd: number, mark: number, mask: number): void {
  const marked = encode(0, [
    [CTA_MARK, bigEndian(mark)],
    [CTA_MARK_MASK, bigEndian(mask)],
  ]);
  forget(netnsFd, [marked]);
}

/**
 * Forgets the TCP connections that nobody translates and that have not ended, as far as the kernel has seen. Those that go on
 * are tracked anew from their next packet.
 *
 * @param maxListed - Of all that the namespace tracks, so many are looked at.
 * @returns Whether all were looked at.
 * @throws {@link LinuxError} as {@link forgetMarked} does.
 */
export function forgetOpenTcp(netnsFd: number, maxListed = MAX_LISTED_CONNECTIONS): boolean {
  return forgetListed(netnsFd, maxListed, isOpenTcp);
}

/**
 * Forgets UDP that is redirected to `port`: whose answers are expected from there.
 *
 * @returns Whether all were looked at.
 * @throws {@link LinuxError} as {@link forgetMarked} does.
 */
export function forgetRedirectedUdp(
  netnsFd: number,
  port: number,
  maxListed = MAX_LISTED_CONNECTIONS,
): boolean {
  return forgetListed(netnsFd, maxListed, (tracked) => isRedirectedUdp(tracked, port));
}

type Tracked = ReadonlyMap<number, DataView>;

function isOpenTcp(tracked: Tracked): boolean {
  const state = tcpStateIn(tracked.get(CTA_PROTOINFO));
  return (
    state !== undefined && !ENDED_STATES.has(state) && (statusOf(tracked) & (IPS_SRC_NAT | IPS_DST_NAT)) === 0
  );
}

function isRedirectedUdp(tracked: Tracked, port: number): boolean {
  if ((statusOf(tracked) & IPS_DST_NAT) === 0) return false;
  const reply = tracked.get(CTA_TUPLE_REPLY);
  const protocol = reply && valueIn(reply, CTA_TUPLE_PROTO);
  return (
    protocol !== undefined &&
    valueIn(protocol, CTA_PROTO_NUM)?.getUint8(0) === IPPROTO_UDP &&
    valueIn(protocol, CTA_PROTO_SRC_PORT)?.getUint16(0) === port
  );
}

function statusOf(tracked: Tracked): number {
  return tracked.get(CTA_STATUS)?.getUint32(0) ?? 0;
}

/** @returns Whether all were looked at. */
function forgetListed(netnsFd: number, maxListed: number, isMeant: (tracked: Tracked) => boolean): boolean {
  const { found, isAll } = namesOf(netnsFd, maxListed, isMeant);
  forget(netnsFd, found);
  return isAll;
}

/** Names of connections, as the kernel is told which to forget. */
function namesOf(
  netnsFd: number,
  maxListed: number,
  isMeant: (tracked: Tracked) => boolean,
): Dumped<Uint8Array> {
  const request = {
    netnsFd,
    protocol: NETLINK_NETFILTER,
    type: CTNETLINK_GET,
    payload: encode(0, []),
    purpose: 'listing tracked connections',
  };
  return dumpNetlink(request, maxListed, (answer) => {
    const all = new Map([...attributes(answer, NFGENMSG_BYTES)].map(({ type, value }) => [type, value]));
    if (!isMeant(all)) return undefined;
    const names = [CTA_TUPLE_ORIG, CTA_ZONE, CTA_ID].flatMap((type): Attribute[] => {
      const value = all.get(type);
      return value ? [[type === CTA_TUPLE_ORIG ? type | NLA_F_NESTED : type, bytesOf(value)]] : [];
    });
    return encode(answer.getUint8(0), names);
  });
}

type Attribute = readonly [type: number, value: Uint8Array];

/** One that has ended meanwhile is forgotten already. */
function forget(netnsFd: number, payloads: readonly Uint8Array[]): void {
  const purpose = 'forgetting tracked connections';
  orderNetlink(
    { netnsFd, protocol: NETLINK_NETFILTER, type: CTNETLINK_DELETE, payloads, purpose },
    (errno) => errno === ENOENT,
  );
}

/** A `nfgenmsg` and its attributes, each on a boundary of four bytes. */
function encode(family: number, names: readonly Attribute[]): Uint8Array {
  const padded = (length: number) => (length + 3) & ~3;
  const size = names.reduce(
    (sum, [, value]) => sum + ATTRIBUTE_HEADER_BYTES + padded(value.length),
    NFGENMSG_BYTES,
  );
  const { bytes, view } = memory(size);
  bytes[0] = family;
  let at = NFGENMSG_BYTES;
  for (const [type, value] of names) {
    view.setUint16(at, ATTRIBUTE_HEADER_BYTES + value.length, true);
    view.setUint16(at + 2, type, true);
    bytes.set(value, at + ATTRIBUTE_HEADER_BYTES);
    at += ATTRIBUTE_HEADER_BYTES + padded(value.length);
  }
  return bytes;
}

function tcpStateIn(protocol: DataView | undefined): number | undefined {
  const tcp = protocol && valueIn(protocol, CTA_PROTOINFO_TCP);
  return tcp && valueIn(tcp, CTA_PROTOINFO_TCP_STATE)?.getUint8(0);
}

function valueIn(nested: DataView, wanted: number): DataView | undefined {
  return [...attributes(nested, 0)].find(({ type }) => type === wanted)?.value;
}

/** A copy: the next answer is read into the same memory. */
function bytesOf(value: DataView): Uint8Array {
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice();
}

function bigEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
