/** `…/pods/NAME/portforward`: which of its protocols a client speaks, and who then serves it. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from '@ambit/core/log';
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws';
import { badRequest, StatusError } from '../errors.ts';
import { PORT_FORWARD_PORTS, PORT_FORWARDS, WEB_SOCKET_MESSAGE_BYTES } from '../limits.ts';
import { CHANNEL_V4, CHANNEL_V5, forwardChannels } from './channels.ts';
import { type ForwardTarget, type PodDialer, portOf } from './dial.ts';
import { forwardSpdy, PORT_FORWARD_PROTOCOL } from './spdy.ts';

export interface UpgradeRequest {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What came with the request's last bytes. */
  readonly head: Buffer;
  readonly query: URLSearchParams;
}

export class PortForwards implements Disposable {
  readonly #dialer: PodDialer | undefined;
  readonly #log: Logger;
  readonly #sockets = new Set<Duplex>();
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: WEB_SOCKET_MESSAGE_BYTES,
    perMessageDeflate: false,
    handleProtocols: (offered) =>
      [SPDY_TUNNEL, CHANNEL_V5, CHANNEL_V4].find((known) => offered.has(known)) ?? false,
  });

  constructor(dialer: PodDialer | undefined, log: Logger) {
    this.#dialer = dialer;
    this.#log = log;
  }

  /** @throws a `StatusError`, before anything was sent, when this cannot be served. */
  upgrade(upgrade: UpgradeRequest, pod: { readonly namespace: string; readonly name: string }): void {
    const dialer = this.#dialer;
    if (!dialer)
      throw new StatusError('ServiceUnavailable', 'this server runs no pods, so none can be reached');
    if (this.#sockets.size >= PORT_FORWARDS) {
      throw new StatusError('TooManyRequests', `too many port-forwards: ${PORT_FORWARDS} are open`, {
        retryAfterSeconds: 5,
      });
    }
    const target: ForwardTarget = { ...pod, dial: (port) => dialer(pod, port) };
    const { request, socket } = upgrade;
    const wanted = (request.headers.upgrade ?? '').toLowerCase();
    if (wanted === 'websocket') this.#acceptWebSocket(upgrade, target);
    else if (wanted === 'spdy/3.1') this.#acceptSpdy(upgrade, target);
    else throw badRequest(`cannot upgrade to ${JSON.stringify(wanted)}: want websocket or SPDY/3.1`);
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    this.#log.debug('port-forward opened', { pod: `${pod.namespace}/${pod.name}` });
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #acceptSpdy({ request, socket, head }: UpgradeRequest, target: ForwardTarget): void {
    const offered = (request.headersDistinct['x-stream-protocol-version'] ?? []).flatMap((text) =>
      text.split(','),
    );
    if (!offered.some((text) => text.trim() === PORT_FORWARD_PROTOCOL)) {
      throw badRequest(
        `no known stream protocol among ${JSON.stringify(offered)}: want ${PORT_FORWARD_PROTOCOL}`,
      );
    }
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${PORT_FORWARD_PROTOCOL}\r\n\r\n`,
    );
    if (head.length > 0) socket.unshift(head);
    void forwardSpdy(socket, target, this.#log);
  }

  #acceptWebSocket({ request, socket, head, query }: UpgradeRequest, target: ForwardTarget): void {
    const offered = protocolsOf(request);
    if (offered.includes(SPDY_TUNNEL)) {
      this.#webSockets.handleUpgrade(request, socket, head, (accepted: WebSocket) => {
        const tunnel = createWebSocketStream(accepted);
        tunnel.on('error', () => accepted.terminate());
        void forwardSpdy(tunnel, target, this.#log);
      });
      return;
    }
    if (!offered.includes(CHANNEL_V4) && !offered.includes(CHANNEL_V5)) {
      throw badRequest(`no known subprotocol among ${JSON.stringify(offered)}: want ${CHANNEL_V4}`);
    }
    const ports = portsOf(query);
    this.#webSockets.handleUpgrade(request, socket, head, (accepted: WebSocket) =>
      forwardChannels(accepted, ports, target),
    );
  }
}

/** SPDY's bytes in a WebSocket, as kubectl prefers it since 1.31. */
const SPDY_TUNNEL = `SPDY/3.1+${PORT_FORWARD_PROTOCOL}`;

const protocolsOf = (request: IncomingMessage): readonly string[] =>
  (request.headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim());

/** `ports=1&ports=2` and `ports=1,2`. */
function portsOf(query: URLSearchParams): readonly number[] {
  const texts = query.getAll('ports').flatMap((text) => text.split(','));
  if (texts.length === 0) throw badRequest('query parameter "ports" is required');
  if (texts.length > PORT_FORWARD_PORTS) throw badRequest(`more than ${PORT_FORWARD_PORTS} ports`);
  return texts.map((text) => {
    const port = portOf(text);
    if (port === undefined) throw badRequest(`port ${JSON.stringify(text)} must be between 1 and 65535`);
    return port;
  });
}
