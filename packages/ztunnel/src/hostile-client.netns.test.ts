import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { isMostlyWithin } from '@ambit/core/testing/mostly-within';
import { frame, numbersFrame } from '@ambit/http/h2/frame-writer';
import { FLAG, FRAME, H2, h2CodeName } from '@ambit/http/h2/protocol';
import { TUNNELS_PER_PEER } from '@ambit/hbone/limits';
import { FLOOD, MAX_STREAMS } from '@ambit/http/limits';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import type { WorkloadCertificate } from '@ambit/identity/workload-certificate';
import {
  ALICE,
  certificateOf,
  connectFrame,
  connectThrough,
  echoThrough,
  expired,
  oddCertificate,
  openGoodTunnel,
  RawPeer,
  requestFrame,
} from './testing/mesh-peer.ts';
import {
  ECHO_PORT,
  eventually,
  POD_IP,
  type ProxiedPod,
  STALLED_PORT,
  startProxiedPod,
} from './testing/proxied-pod.ts';

const ECHO = `${POD_IP}:${ECHO_PORT}`;
const EMPTY = new Uint8Array(0);

let pod: ProxiedPod;
let alice: WorkloadCertificate;
let idleSockets = 0;
/** Where ztunnel's output of this test begins. */
let since = 0;
let reached = 0;

/** A client that does nothing wrong is served, and nothing of it stays. */
async function goodClientIsServed(): Promise<void> {
  const tunnel = await openGoodTunnel();
  expect(await echoThrough(tunnel, ECHO, 'is anybody there?')).toBe('is anybody there?');
  tunnel.session.destroy();
}

beforeAll(async () => {
  pod = await startProxiedPod();
  alice = await certificateOf(ALICE);
  idleSockets = pod.openSockets();
  await goodClientIsServed();
});
afterAll(async () => await pod[Symbol.asyncDispose]());

beforeEach(() => {
  since = pod.output().length;
  reached = pod.reached();
});
afterEach(async () => {
  await goodClientIsServed();
  await eventually(
    () => `of ${pod.openSockets()} sockets ${idleSockets} remain`,
    () => pod.openSockets() <= idleSockets,
  );
  expect(pod.isRunning()).toBe(true);
});

const nothingReachedTheApplication = () => expect(pod.reached()).toBe(reached);

function plain(port: number, words = ''): { socket: Socket; closed: Promise<void>; heard: () => string } {
  const socket = connect(port, POD_IP, () => socket.write(words));
  let heard = '';
  socket
    .on('error', () => undefined)
    .on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1');
    });
  const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
  return { socket, closed, heard: () => heard };
}

describe('at 15008, before a tunnel', () => {
  test('plain HTTP is not TLS', async () => {
    const { closed, heard } = plain(15_008, 'GET / HTTP/1.1\r\nHost: web\r\n\r\n');
    await closed;
    await pod.said(/connection failed.*peer sent plain HTTP instead of TLS/, since);
    expect(heard()).not.toContain('HTTP/');
    nothingReachedTheApplication();
  });

  test('neither is garbage', async () => {
    const { closed } = plain(15_008, '\x16\x03\x01\xff\xff'.repeat(50));
    await closed;
    await pod.said(/connection failed.*TLS: /, since);
    nothingReachedTheApplication();
  });

  const bad: Record<string, { peer: () => Promise<RawPeer>; says: RegExp }> = {
    'no client certificate': {
      peer: async () => {
        const secureContext = createSecureContext({ ca: [...alice.rootsPem] });
        return RawPeer.connect(alice, { secureContext });
      },
      says: /peer presented no certificate/,
    },
    'wrong ALPN': {
      peer: async () => RawPeer.connect(alice, { ALPNProtocols: ['http/1.1'] }),
      says: /peer does not speak HTTP\/2 \(ALPN protocol h2\)/,
    },
    'no ALPN': {
      peer: async () => RawPeer.connect(alice, { ALPNProtocols: [] }),
      says: /peer did not negotiate HTTP\/2 \(ALPN protocol h2\)/,
    },
    expired: {
      peer: async () => RawPeer.connect(await oddCertificate(expired())),
      says: /peer certificate has expired/,
    },
    'wrong trust domain': {
      peer: async () => RawPeer.connect(await certificateOf('spiffe://elsewhere/ns/shop/sa/alice')),
      says: /expected trust domain td, got spiffe:\/\/elsewhere\/ns\/shop\/sa\/alice/,
    },
    'wrong SAN': {
      peer: async () =>
        RawPeer.connect(await oddCertificate({ names: { uris: ['https://td/ns/shop/sa/alice'] } })),
      says: /expected trust domain td, got no SPIFFE identity/,
    },
    'another root': {
      peer: async () => {
        const stranger = await (await createSelfSignedCa({ clock: systemClock })).issueWorkload(ALICE);
        return RawPeer.connect({ ...stranger, rootsPem: alice.rootsPem });
      },
      says: /peer certificate is not signed by a root of this mesh/,
    },
    'TLS 1.2 at most': {
      peer: async () => {
        const key = alice.privateKey.export({ format: 'pem', type: 'pkcs8' });
        const cert = alice.chainPem.join('');
        const secureContext = createSecureContext({
          ca: [...alice.rootsPem],
          cert,
          key,
          maxVersion: 'TLSv1.2',
        });
        return RawPeer.connect(alice, { secureContext });
      },
      says: /peer speaks no TLS version that is accepted here/,
    },
  };
  test.each(Object.entries(bad))('%s', async (_, { peer, says }) => {
    using client = await peer();
    client.say(connectFrame(1, ECHO));
    await client.closed;
    await pod.said(
      new RegExp(`connection failed.*src\\.addr=10\\.77\\.0\\.1:.*direction=.inbound.*${says.source}`),
      since,
    );
    nothingReachedTheApplication();
  });

  test('a client that says nothing is let go in time', async () => {
    const silent = Array.from({ length: 20 }, () => plain(15_008));
    await Promise.all(silent.map(({ closed }) => closed));
    await pod.said(/connection failed.*no handshake within/, since);
    nothingReachedTheApplication();
  });

  test(`more than ${TUNNELS_PER_PEER} tunnels of one peer`, async () => {
    const peers = [];
    for (let i = 0; i < TUNNELS_PER_PEER; i += 1) peers.push(await RawPeer.begun(alice));
    const { closed } = plain(15_008);
    await closed;
    await pod.said(new RegExp(`tunnels from 10\\.77\\.0\\.1: at most ${TUNNELS_PER_PEER}`), since);
    for (const peer of peers) peer.socket.destroy();
    await eventually('their tunnels are gone', () => pod.openSockets() <= idleSockets);
  });
});

describe('in a tunnel', () => {
  const many = (count: number, make: (i: number) => Uint8Array) =>
    Array.from({ length: count }, (_, i) => make(i));
  const toNowhere = (i: number) => connectFrame(2 * i + 1, '10.77.0.9:80');
  const bomb = () => {
    // Literal with indexing: `x` with a value of 4000 octets; then it is referred to 20 000 times.
    const entry = Buffer.concat([Buffer.from([0x40, 1, 0x78, 0x7f, 0xa1, 0x1e]), Buffer.alloc(4_000, 0x79)]);
    return Buffer.concat([entry, Buffer.alloc(10_000, 0xbe)]);
  };
  const fatal: Record<string, { frames: () => readonly Uint8Array[]; code: number }> = {
    'a frame longer than allowed': {
      frames: () => [Buffer.from([0xff, 0xff, 0xff, FRAME.data, 0, 0, 0, 0, 1])],
      code: H2.frameSizeError,
    },
    'DATA for no stream': { frames: () => [frame(FRAME.data, 0, 0, EMPTY)], code: H2.protocolError },
    'a malformed header block': {
      frames: () => [frame(FRAME.headers, FLAG.endHeaders, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]))],
      code: H2.compressionError,
    },
    'a header block without end': {
      frames: () => [
        frame(FRAME.headers, 0, 1, EMPTY),
        ...many(10, () => frame(FRAME.continuation, 0, 1, new Uint8Array(16_384))),
      ],
      code: H2.enhanceYourCalm,
    },
    'PING flood': {
      frames: () => many(FLOOD.ping.burst * 20, () => frame(FRAME.ping, 0, 0, new Uint8Array(8))),
      code: H2.enhanceYourCalm,
    },
    'SETTINGS flood': {
      frames: () => many(FLOOD.settings.burst * 20, () => frame(FRAME.settings, 0, 0, EMPTY)),
      code: H2.enhanceYourCalm,
    },
    'rapid reset': {
      // Many more than are let pass, since a slow machine also has longer for them.
      frames: () =>
        many(FLOOD.rapidReset.burst * 4, (i) =>
          Buffer.concat([connectFrame(2 * i + 1, ECHO), numbersFrame(FRAME.rstStream, 2 * i + 1, H2.cancel)]),
        ),
      code: H2.enhanceYourCalm,
    },
  };
  test.each(Object.entries(fatal))('%s ends the connection, and says why', async (_, { frames, code }) => {
    using peer = await RawPeer.begun(alice);
    peer.say(...frames());
    await peer.closed;
    expect(peer.goaway()).toBe(code);
    const cause = code === H2.compressionError ? 'invalid header block' : h2CodeName(code);
    await pod.said(new RegExp(`connection failed.*${cause}`), since);
  });

  test('something else than HTTP/2', async () => {
    using peer = RawPeer.connect(alice);
    await once(peer.socket, 'secureConnect');
    peer.say(Buffer.from('GET / HTTP/1.1\r\nHost: web\r\n\r\n'));
    await peer.closed;
    nothingReachedTheApplication();
  });

  test('random bytes', async () => {
    let state = 7;
    for (let round = 0; round < 20; round += 1) {
      const bytes = Buffer.alloc(512);
      for (let i = 0; i < bytes.length; i += 1) {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        bytes[i] = state >>> 24;
      }
      bytes.writeUIntBE(bytes.readUInt8(2), 0, 3);
      using peer = await RawPeer.begun(alice);
      peer.say(bytes);
      peer.socket.end();
      await peer.closed;
    }
    nothingReachedTheApplication();
  });

  const tooLarge: Record<string, () => Buffer> = {
    'an HPACK bomb': () => frame(FRAME.headers, FLAG.endHeaders, 1, bomb()),
    'headers too large': () =>
      requestFrame(1, [
        { name: ':method', value: 'CONNECT', indexed: false },
        { name: ':authority', value: ECHO, indexed: false },
        { name: 'baggage', value: 'x'.repeat(70_000), indexed: false },
      ]),
  };
  test.each(Object.entries(tooLarge))(
    '%s: the stream is refused, and the tunnel goes on',
    async (_, headers) => {
      using peer = await RawPeer.begun(alice);
      peer.say(headers());
      await eventually('the stream is refused', () => peer.resets().has(1));
      expect(peer.goaway()).toBeUndefined();
      nothingReachedTheApplication();
    },
  );

  const refusals: Record<string, { authority: string; status: string; says: RegExp }> = {
    'to another pod': {
      authority: '10.77.0.1:8080',
      status: '400',
      says: /ip mismatch: 10\.77\.0\.2 != 10\.77\.0\.1/,
    },
    'to loopback': {
      authority: '127.0.0.1:15000',
      status: '400',
      says: /ip mismatch: 10\.77\.0\.2 != 127\.0\.0\.1/,
    },
    'to 15001': { authority: `${POD_IP}:15001`, status: '503', says: /port 15001 leads back into the proxy/ },
    'to 15006': { authority: `${POD_IP}:15006`, status: '503', says: /port 15006 leads back into the proxy/ },
    'to 15008': { authority: `${POD_IP}:15008`, status: '503', says: /port 15008 leads back into the proxy/ },
    'to a host that nobody has': {
      authority: 'nobody.example:80',
      status: '503',
      says: /no service has the hostname/,
    },
    'to no address at all': { authority: 'here', status: '400', says: /not an ip:port or host:port: here/ },
    'to a port where nobody listens': {
      authority: `${POD_IP}:9`,
      status: '503',
      says: /could not connect to 10\.77\.0\.2:9/,
    },
  };
  test.each(Object.entries(refusals))('CONNECT %s', async (_, { authority, status, says }) => {
    const tunnel = await openGoodTunnel();
    expect((await connectThrough(tunnel, authority)).status).toBe(status);
    await pod.said(says, since);
    nothingReachedTheApplication();
    expect(await echoThrough(tunnel, ECHO, 'still here')).toBe('still here');
    tunnel.session.destroy();
  });

  test('a request that is no CONNECT', async () => {
    using peer = await RawPeer.begun(alice);
    peer.say(
      requestFrame(1, [
        { name: ':method', value: 'GET', indexed: false },
        { name: ':scheme', value: 'https', indexed: false },
        { name: ':path', value: '/', indexed: false },
        { name: ':authority', value: ECHO, indexed: false },
      ]),
    );
    await pod.said(/not a CONNECT: GET/, since);
    nothingReachedTheApplication();
  });

  test('streams beyond the limit, on which the peer neither sends nor reads', async () => {
    using peer = await RawPeer.begun(alice);
    peer.socket.pause();
    peer.say(...many(MAX_STREAMS + 20, (i) => connectFrame(2 * i + 1, ECHO)));
    await eventually('streams reach the application', () => pod.reached() >= reached + MAX_STREAMS);
    await goodClientIsServed();
    expect(pod.reached()).toBe(reached + MAX_STREAMS + 1);
    peer.socket.resume();
    await eventually('the rest is refused', () => peer.resets().size === 20);
    expect(new Set(peer.resets().values())).toEqual(new Set([H2.refusedStream]));
  });

  test('streams to where nobody may go, without end, while others are served', async () => {
    using peer = await RawPeer.begun(alice);
    peer.say(...many(2_000, toNowhere));
    await goodClientIsServed();
    await pod.said(/ip mismatch: 10\.77\.0\.2 != 10\.77\.0\.9/, since);
  });
});

test('a stalled application: its clients wait, those of others in the same tunnel do not', async () => {
  const tunnel = await openGoodTunnel();
  const stalled = await Promise.all(
    Array.from({ length: 8 }, async () => (await connectThrough(tunnel, `${POD_IP}:${STALLED_PORT}`)).duplex),
  );
  let sent = 0;
  const chunk = Buffer.alloc(256 * 1024);
  for (const duplex of stalled) {
    const more = () => {
      sent += chunk.length;
      if (sent < 256 * 1024 * 1024) duplex.write(chunk, () => more());
    };
    more();
  }
  let before = -1;
  await eventually('they can send no more', async () => {
    if (before === sent) return true;
    before = sent;
    await systemClock.sleep(300);
    return false;
  });
  expect(sent).toBeLessThan(128 * 1024 * 1024);
  let asked = 0;
  const ask = async () => {
    asked += 1;
    expect(await echoThrough(tunnel, ECHO, `busy ${asked}`)).toBe(`busy ${asked}`);
  };
  expect(await isMostlyWithin(1_000, ask)).toBe(true);
  tunnel.session.destroy();
});

describe('in clear', () => {
  test('to the application of a strict pod', async () => {
    const { closed, heard } = plain(ECHO_PORT, 'in clear');
    await closed;
    await pod.said(/policy rejection.*strict/, since);
    expect(heard()).toBe('');
    nothingReachedTheApplication();
  });

  test.each([15_001, 15_006])('straight to %d', async (port) => {
    const { closed, heard } = plain(port, 'in clear');
    await closed;
    await pod.said(new RegExp(`${port}`), since);
    process.stderr.write(pod.output().slice(since));
    expect(heard()).toBe('');
    nothingReachedTheApplication();
  });
});
