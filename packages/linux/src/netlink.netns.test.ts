/**
 * Lists that the kernel tells: those that change while they are read (each change is made between the first answer and those
 * not yet told), and those that fail; and orders that it does not answer.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { interfaceAddresses } from './interfaces.ts';
import { memory } from './libc.ts';
import { MAX_DUMP_READINGS } from './limits.ts';
import { dumpNetlink, encode, NETLINK_ROUTE, NETLINK_SOCK_DIAG, orderInBatches } from './netlink.ts';
import { TestNamespaces, type TestNetns } from './testing/namespaces.ts';

const RTM_GETADDR = 22;
const SOCK_DIAG_BY_FAMILY = 20;
const RTM_NEWLINK = 16;
/** What the kernel tells in several parts, of which it prepares two before the first is read. */
const MANY = 2_000;

let namespaces: TestNamespaces;
let pod: TestNetns;
beforeEach(() => {
  namespaces = new TestNamespaces();
  pod = namespaces.create();
});
afterEach(() => namespaces[Symbol.dispose]());

function addMany(): void {
  const lines = Array.from({ length: MANY }, (_, n) => `addr add 10.1.${n >> 8}.${n & 255}/32 dev lo\n`);
  pod.run('sh', '-c', `printf '${lines.join('').replaceAll('\n', '\\n')}' | ip -batch -`);
}

/** @param atFirst - Runs at the first answer of each reading, with the reading's number. */
function readAddresses(atFirst: (reading: number) => void): {
  readonly count: number;
  readonly readings: number;
} {
  let readings = 0;
  const request = {
    netnsFd: pod.fd,
    protocol: NETLINK_ROUTE,
    type: RTM_GETADDR,
    payload: memory(8).bytes,
    purpose: 'listing addresses',
  };
  const { found } = dumpNetlink(request, 100_000, (answer) => {
    const prefixLength = answer.getUint8(1);
    // The kernel tells of 127.0.0.1/8 first.
    if (prefixLength === 8) {
      readings += 1;
      atFirst(readings);
    }
    return prefixLength;
  });
  return { count: found.length, readings };
}

function change(reading: number): void {
  pod.run('ip', 'addr', 'add', `10.9.0.${reading}/32`, 'dev', 'lo');
}

describe('a list that changes while it is read', () => {
  beforeEach(addMany);

  test('is read again, and then whole', () => {
    const before = interfaceAddresses(pod.fd).length;
    const read = readAddresses((reading) => {
      if (reading < MAX_DUMP_READINGS) change(reading);
    });
    expect(read).toEqual({ count: before + MAX_DUMP_READINGS - 1, readings: MAX_DUMP_READINGS });
  });

  test('is an error that names it when it changes each time', () => {
    let readings = 0;
    const read = () =>
      readAddresses((reading) => {
        readings = reading;
        change(reading);
      });
    expect(read).toThrow(
      expect.objectContaining({
        errnoName: 'EINTR',
        message: `netlink (listing addresses: it changed during each of ${MAX_DUMP_READINGS} readings): EINTR`,
      }),
    );
    expect(readings).toBe(MAX_DUMP_READINGS);
  });
});

test('what the kernel cannot list is an error, not an empty list', () => {
  const { bytes, view } = memory(56);
  bytes[0] = 2;
  // No such protocol: as TCP is to a kernel without tcp_diag.
  bytes[1] = 200;
  view.setUint32(4, 0xffff_ffff, true);
  const request = {
    netnsFd: pod.fd,
    protocol: NETLINK_SOCK_DIAG,
    type: SOCK_DIAG_BY_FAMILY,
    payload: bytes,
    purpose: 'listing sockets',
  };
  expect(() => dumpNetlink(request, 100, () => undefined)).toThrow('netlink (listing sockets): ENOENT');
});

test('an order that the kernel does not answer is an error, and is not waited for', () => {
  // It is done, and nobody asked to be told.
  const silent = encode({
    type: RTM_NEWLINK,
    flags: 0,
    payload: Uint8Array.of(0, 0, 0, 0, 1, ...Array(11).fill(0)),
  });
  const asked = { netnsFd: pod.fd, protocol: NETLINK_ROUTE, purpose: 'changing nothing' };
  const order = () => orderInBatches(asked, [{ text: silent, orders: 1 }], () => false);
  expect(order).toThrow('netlink (changing nothing): EAGAIN');
});
