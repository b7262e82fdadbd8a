/** A real TLS handshake over loopback between two ends that a test describes; both ends' findings, nothing left open. */
import { once } from 'node:events';
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, TLSSocket, type TLSSocketOptions } from 'node:tls';
import { handshakeProblem, type PeerVerdict } from '../tls-context.ts';

export interface HandshakeEnds {
  readonly server: TLSSocketOptions;
  readonly client: ConnectionOptions;
  readonly verifyClient: (socket: TLSSocket) => PeerVerdict;
  readonly verifyServer: (socket: TLSSocket) => PeerVerdict;
}

export interface HandshakeOutcome {
  /** What the server knows of the client: the identity, or the problem. */
  readonly server: string;
  readonly client: string;
  readonly cipher: string;
  readonly group: string;
  /** The ticket that the client could resume with, if the server sent one. */
  readonly session: Buffer | undefined;
  readonly resumed: boolean;
}

/** Connects, verifies on both ends, and ends both. */
export async function handshake(ends: HandshakeEnds): Promise<HandshakeOutcome> {
  const listener = createServer();
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const accepted = once(listener, 'connection') as Promise<[Socket]>;
  const tcp = connectTcp((listener.address() as AddressInfo).port, '127.0.0.1');
  const [raw] = await accepted;
  const serverSide = new TLSSocket(raw, { isServer: true, ...ends.server });
  const clientSide = connectTls({ socket: tcp, ...ends.client });
  let session: Buffer | undefined;
  clientSide.on('session', (ticket) => {
    session = ticket;
  });
  const [server, client] = await Promise.all([
    finding(serverSide, 'secure', ends.verifyClient),
    finding(clientSide, 'secureConnect', ends.verifyServer),
  ]);
  const cipher = clientSide.getCipher()?.name ?? '';
  const key = clientSide.getEphemeralKeyInfo() as { name?: string; type?: string } | null;
  const group = key?.name ?? key?.type ?? '';
  const resumed = clientSide.isSessionReused();
  const known = server.startsWith('spiffe:') && client.startsWith('spiffe:');
  if (known && !session) await once(clientSide, 'session');
  for (const socket of [serverSide, clientSide, raw, tcp]) socket.destroy();
  listener.close();
  return { server, client, cipher, group, session, resumed };
}

function finding(
  socket: TLSSocket,
  event: 'secure' | 'secureConnect',
  verify: (socket: TLSSocket) => PeerVerdict,
): Promise<string> {
  return new Promise((resolve) => {
    socket.once(event, () => {
      const verdict = verify(socket);
      resolve(verdict.ok ? verdict.identity : verdict.reason);
    });
    socket.on('error', (error) => resolve(handshakeProblem(error)));
    socket.once('close', () => resolve('closed'));
    socket.resume();
  });
}
