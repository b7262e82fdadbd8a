import { createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { frame, numbersFrame } from '@ambit/http/h2/frame-writer';
import { FLAG, FRAME, H2 } from '@ambit/http/h2/protocol';
import { HpackEncoder } from '@ambit/http/hpack/encoder';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import { serverTlsOptions } from '@ambit/identity/tls-context';
import type { WorkloadCertificate } from '@ambit/identity/workload-certificate';
import { BOB, certificateOf, expired, oddCertificate, SETTINGS_FRAME } from './testing/mesh-peer.ts';
import {
  ECHO_PORT,
  eventually,
  NEIGHBOUR_IP,
  type ProxiedPod,
  startProxiedPod,
} from './testing/proxied-pod.ts';
import { CONNECT_ANSWER_TIMEOUT_MS } from './worker/limits.ts';

const SECRET = 'what must not be read on the wire';
const EMPTY = new Uint8Array(0);

let pod: ProxiedPod;
let bob: WorkloadCertificate;
let idleSockets = 0;
let since = 0;
/** What came to the neighbour's application port: clear traffic that should have gone through a tunnel. */
let inClear = 0;
const sockets = new Set<Socket>();
const servers: Server[] = [];

async function listen(server: Server, port: number): Promise<Server> {
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => void server.listen(port, NEIGHBOUR_IP, resolve));
  return server;
}

/** Somebody takes tunnels at the neighbour's address who should not be trusted. */
async function tunnelsAt(server: Server): Promise<void> {
  servers.push(await listen(server, 15_008));
}

function tlsServer(
  certificate: WorkloadCertificate,
  onSocket: (socket: TLSSocket) => void,
  over: { readonly ALPNProtocols?: string[] } = {},
): Server {
  return createServer((raw) => {
    const socket = new TLSSocket(raw, { isServer: true, ...serverTlsOptions(certificate), ...over });
    socket.on('error', () => undefined).once('close', () => raw.destroy());
    onSocket(socket);
  });
}

/** What the pod's application hears on a connection to the neighbour: it begins to speak at once. */
function application() {
  const socket = pod.fromPod(NEIGHBOUR_IP, ECHO_PORT);
  let heard = '';
  socket
    .once('connect', () => socket.write(SECRET))
    .on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1');
    });
  socket.once('end', () => socket.end());
  const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
  return { socket, closed, heard: () => heard };
}

beforeAll(async () => {
  pod = await startProxiedPod();
  bob = await certificateOf(BOB);
  idleSockets = pod.openSockets();
  await listen(
    createServer(() => {
      inClear += 1;
    }),
    ECHO_PORT,
  ).then((server) => void server.unref());
});
afterAll(async () => await pod[Symbol.asyncDispose]());

beforeEach(() => {
  since = pod.output().length;
});
afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  for (const socket of sockets) socket.destroy();
  await eventually(
    () => `of ${pod.openSockets()} sockets ${idleSockets} remain`,
    () => pod.openSockets() <= idleSockets,
  );
  expect(inClear).toBe(0);
  expect(pod.isRunning()).toBe(true);
});

const encoder = new HpackEncoder();
const answered = (status: string) =>
  frame(
    FRAME.headers,
    FLAG.endHeaders,
    1,
    encoder.encode([{ name: ':status', value: status, indexed: false }]),
  );
/** Answers the first request with these frames. */
const answering = (...frames: readonly Uint8Array[]) =>
  tlsServer(bob, (socket) => {
    socket.once('data', () => socket.write(Buffer.concat([SETTINGS_FRAME, ...frames])));
    socket.resume();
  });

describe('the pod connects to a workload whose tunnels are taken by', () => {
  const bad: Record<string, { server?: () => Promise<Server> | Server; says: RegExp }> = {
    nobody: { says: /could not connect to 10\.77\.0\.1:15008/ },
    'somebody who hangs up': {
      server: () => createServer((socket) => void socket.end()),
      says: /TLS: .*closed|ECONNRESET|disconnected/,
    },
    'somebody who speaks in clear': {
      server: () => createServer((socket) => void socket.write('HTTP/1.1 200 OK\r\n\r\n'.repeat(20))),
      says: /TLS: peer does not speak TLS/,
    },
    'somebody else': {
      server: async () => tlsServer(await certificateOf('spiffe://td/ns/shop/sa/mallory'), () => undefined),
      says: /expected spiffe:\/\/td\/ns\/shop\/sa\/bob, got spiffe:\/\/td\/ns\/shop\/sa\/mallory/,
    },
    'somebody of another trust domain': {
      server: async () =>
        tlsServer(await certificateOf('spiffe://elsewhere/ns/shop/sa/bob'), () => undefined),
      says: /expected spiffe:\/\/td\/ns\/shop\/sa\/bob, got spiffe:\/\/elsewhere\/ns\/shop\/sa\/bob/,
    },
    'somebody whose certificate has expired': {
      server: async () =>
        tlsServer(await oddCertificate({ names: { uris: [BOB] }, ...expired() }), () => undefined),
      says: /TLS: peer certificate has expired/,
    },
    'somebody of another root': {
      server: async () => {
        const stranger = await (await createSelfSignedCa({ clock: systemClock })).issueWorkload(BOB);
        return tlsServer({ ...stranger, rootsPem: bob.rootsPem }, () => undefined);
      },
      says: /TLS: peer certificate is not signed by a root of this mesh/,
    },
    'somebody who speaks no HTTP/2': {
      server: () => tlsServer(bob, () => undefined, { ALPNProtocols: ['http/1.1'] }),
      says: /TLS: peer does not accept HTTP\/2 \(ALPN protocol h2\)/,
    },
    'somebody who says what is no HTTP/2': {
      server: () =>
        tlsServer(bob, (socket) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(20))),
      says: /PROTOCOL_ERROR|FRAME_SIZE_ERROR/,
    },
    'somebody who refuses': { server: () => answering(answered('503')), says: /http status: 503/ },
    'somebody who redirects': { server: () => answering(answered('302')), says: /http status: 302/ },
    'somebody who resets the stream': {
      server: () => answering(numbersFrame(FRAME.rstStream, 1, H2.internalError)),
      says: /the peer reset the stream: INTERNAL_ERROR/,
    },
    'somebody who sends a broken header block': {
      server: () =>
        answering(frame(FRAME.headers, FLAG.endHeaders, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]))),
      says: /invalid header block/,
    },
    'somebody who floods with PING': {
      server: () =>
        answering(...Array.from({ length: 200 }, () => frame(FRAME.ping, 0, 0, new Uint8Array(8)))),
      says: /ENHANCE_YOUR_CALM/,
    },
    'somebody who floods with SETTINGS': {
      server: () => answering(...Array.from({ length: 200 }, () => frame(FRAME.settings, 0, 0, EMPTY))),
      says: /ENHANCE_YOUR_CALM/,
    },
    'somebody who sends data before the answer': {
      server: () => answering(frame(FRAME.data, 0, 1, Buffer.from('no status'))),
      says: /before/,
    },
  };
  test.each(Object.entries(bad))('%s', async (_, { server, says }) => {
    if (server) await tunnelsAt(await server());
    const { closed, heard } = application();
    await closed;
    await pod.said(says, since);
    expect(heard()).toBe('');
    expect(pod.output().slice(since)).not.toContain(SECRET);
  });

  test('somebody who does not shake hands', async () => {
    await tunnelsAt(createServer());
    const { closed } = application();
    await closed;
    await pod.said(/TLS: no handshake within 10000 ms/, since);
  });
});

test('a tunnel that is never answered is given up, also when its application has gone', async () => {
  await tunnelsAt(answering());
  const { socket } = application();
  await eventually('the tunnel is open', () => pod.openSockets() === idleSockets + 2);
  socket.destroy();
  const timeoutMs = CONNECT_ANSWER_TIMEOUT_MS + 25_000;
  await eventually('the application is let go', () => pod.openSockets() <= idleSockets + 1, timeoutMs);
  await pod.said(/CONNECT not answered within 20000 ms/, since);
});

test('a server that takes streams and never reads holds up its clients alone', async () => {
  await tunnelsAt(
    tlsServer(bob, (socket) => {
      socket.once('data', () => {
        socket.write(Buffer.concat([SETTINGS_FRAME, answered('200')]));
        socket.pause();
      });
    }),
  );
  const { socket } = application();
  let sent = 0;
  const chunk = Buffer.alloc(64 * 1024);
  const more = () => {
    sent += chunk.length;
    if (sent < 256 * 1024 * 1024) socket.write(chunk, () => more());
  };
  socket.once('connect', more);
  let before = -1;
  await eventually('no more is taken', async () => {
    if (before === sent) return true;
    before = sent;
    await systemClock.sleep(300);
    return false;
  });
  expect(sent).toBeLessThan(64 * 1024 * 1024);
  socket.destroy();
});
