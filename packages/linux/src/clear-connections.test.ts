import { expect, test } from '@jest/globals';
import { parseHostPort } from '@ambit/core/ip';
import { clearConnections, inboundClearConnections } from './clear-connections.ts';
import type { TcpConnection, TcpState } from './sock-diag.ts';

const PROXY = {
  isOfProxy: ({ mark }: TcpConnection) => mark === 0x539,
  redirectedTo: new Set([15_001, 15_006]),
};

function socket(
  local: string,
  remote: string,
  { mark = 0, state = 'established' }: { readonly mark?: number; readonly state?: TcpState } = {},
): TcpConnection {
  const [here, there] = [parseHostPort(local), parseHostPort(remote)];
  if (!here || !there) throw new Error(`${local} ${remote}`);
  return { state, local: here, remote: there, mark, uid: 0, handle: { family: 4, id: new Uint8Array(48) } };
}

const OF_PROXY = { mark: 0x539 };
const LISTENER = socket('[::]:8080', '[::]:0', { state: 'listen' });
const INBOUND = socket('10.0.0.2:8080', '10.0.0.1:40000');

test('what a program and the outside say to each other is clear', () => {
  const outbound = socket('10.0.0.2:50000', '10.0.0.1:5432');
  const all = [LISTENER, INBOUND, outbound];
  expect(clearConnections(all, PROXY)).toEqual([INBOUND, outbound]);
  expect(inboundClearConnections(all, PROXY)).toEqual([INBOUND]);
});

test.each<[string, readonly TcpConnection[]]>([
  [
    'through the proxy, as the client',
    [socket('10.0.0.2:8080', '10.0.0.1:40000'), socket('10.0.0.1:40000', '10.0.0.2:8080', OF_PROXY)],
  ],
  [
    'through the proxy, as itself',
    [socket('10.0.0.2:8080', '10.0.0.2:40000'), socket('10.0.0.2:40000', '10.0.0.2:8080', OF_PROXY)],
  ],
  ['an end of the proxy', [socket('10.0.0.2:15008', '10.0.0.1:40000', OF_PROXY)]],
  [
    'redirected on its way out from a port that is listened on',
    [
      socket('10.0.0.2:8080', '10.0.0.9:80'),
      socket('127.0.0.1:15001', '10.0.0.2:8080', { ...OF_PROXY, state: 'closeWait' }),
    ],
  ],
  ['from loopback', [socket('127.0.0.1:8080', '127.0.0.1:40000'), socket('[::1]:8080', '[::1]:40000')]],
  [
    'from itself by its own address',
    [socket('10.0.0.2:8080', '10.0.0.2:40000'), socket('10.0.0.2:40000', '10.0.0.2:8080')],
  ],
  ['not open yet', [socket('10.0.0.2:8080', '10.0.0.1:40000', { state: 'synReceived' })]],
])('not clear: %s', (_, sockets) => {
  expect(clearConnections([LISTENER, ...sockets], PROXY)).toEqual([]);
  expect(inboundClearConnections([LISTENER, ...sockets], PROXY)).toEqual([]);
});

test('the proxy’s listeners make nothing inbound', () => {
  const listener = socket('[::]:8080', '[::]:0', { ...OF_PROXY, state: 'listen' });
  expect(inboundClearConnections([listener, INBOUND], PROXY)).toEqual([]);
});
