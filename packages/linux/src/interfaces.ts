/** The addresses that interfaces of a network namespace carry. */
import { formatIp } from '@ambit/core/ip';
import { memory } from './libc.ts';
import { MAX_LISTED_ADDRESSES } from './limits.ts';
import { attributes, dumpAllNetlink, NETLINK_ROUTE, orderNetlink } from './netlink.ts';

const RTM_NEWLINK = 16;
const IFINFOMSG_BYTES = 16;
const IFF_UP = 1;
/** In every namespace. */
const LOOPBACK_INDEX = 1;
const RTM_GETADDR = 22;
const IFADDRMSG_BYTES = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;

export interface InterfaceAddress {
  /** Canonical. */
  readonly ip: string;
  readonly prefixLength: number;
  readonly interfaceIndex: number;
}

/** All addresses, of interfaces that are up and of those that are not, loopback included. */
export function interfaceAddresses(netnsFd: number): readonly InterfaceAddress[] {
  const request = {
    netnsFd,
    protocol: NETLINK_ROUTE,
    type: RTM_GETADDR,
    payload: memory(IFADDRMSG_BYTES).bytes,
    purpose: 'listing interface addresses',
  };
  return dumpAllNetlink(request, MAX_LISTED_ADDRESSES, decodeAddress);
}

/** Addresses of loopback work from then on. In a new namespace they do not. */
export function startLoopback(netnsFd: number): void {
  const { bytes, view } = memory(IFINFOMSG_BYTES);
  view.setUint32(4, LOOPBACK_INDEX, true);
  view.setUint32(8, IFF_UP, true);
  view.setUint32(12, IFF_UP, true);
  orderNetlink(
    {
      netnsFd,
      protocol: NETLINK_ROUTE,
      type: RTM_NEWLINK,
      payloads: [bytes],
      purpose: 'starting the loopback interface',
    },
    () => false,
  );
}

function decodeAddress(answer: DataView): InterfaceAddress | undefined {
  if (answer.byteLength < IFADDRMSG_BYTES) return undefined;
  const values = new Map([...attributes(answer, IFADDRMSG_BYTES)].map(({ type, value }) => [type, value]));
  // Of a point-to-point link, IFA_ADDRESS is the other end.
  const own = values.get(IFA_LOCAL) ?? values.get(IFA_ADDRESS);
  const ip = own && formatIp(new Uint8Array(own.buffer, own.byteOffset, own.byteLength));
  if (ip === undefined) return undefined;
  return { ip, prefixLength: answer.getUint8(1), interfaceIndex: answer.getUint32(4, true) };
}
