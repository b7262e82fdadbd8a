/**
 * The process of the xDS clients: as many as it is told, each with a connection of its own, which ask for everything as a
 * node's proxy does and acknowledge what they get.
 *
 * They read no more of an answer than its nonce and the names in it, on bare HTTP/2, so that a hundred of them on one core
 * are not what is measured.
 */
import { readFileSync } from 'node:fs';
import { connect, constants, type ClientHttp2Stream } from 'node:http2';
import { AUTHORIZATION_TYPE_URL } from '@ambit/api/authorization';
import { createDeltaRequest, DELTA_ADS_PATH, encodeDeltaRequest } from '@ambit/api/discovery';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import type { Arrival, ClientsAnswer, ClientsOrder } from './clients.ts';
import { nowMs } from './measure.ts';
import { readDelta } from './read-delta.ts';

const [, , address = '', rootPath = '', token = ''] = process.argv;
/** Of a stream and of its connection: HTTP/2's own, which our node proxy leaves as it is. */
const WINDOW_BYTES = 65_535;
const FRAME_HEAD_BYTES = 5;

const root = readFileSync(rootPath, 'utf8');
const clients: Client[] = [];
let arrivals: Arrival[] = [];

/** One delta stream on one connection. */
class Client {
  readonly #startedMs = nowMs();
  readonly #stream: ClientHttp2Stream;
  readonly #session;
  readonly #done: (answer: ClientsAnswer) => void;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #wanted = FRAME_HEAD_BYTES;
  #resources = 0;
  #messageBytes = 0;
  #awaited = new Set([ADDRESS_TYPE_URL, AUTHORIZATION_TYPE_URL]);
  #settled = false;

  constructor(number: number, done: (answer: ClientsAnswer) => void) {
    this.#done = done;
    this.#session = connect(`https://${address}`, {
      ca: root,
      servername: 'localhost',
      settings: { initialWindowSize: WINDOW_BYTES },
    });
    this.#session.on('error', (error) => this.#failed(error.message));
    this.#stream = this.#session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: DELTA_ADS_PATH,
      [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
      te: 'trailers',
      authorization: `Bearer ${token}`,
    });
    this.#stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#stream.on('trailers', (trailers) =>
      this.#failed(`status ${trailers['grpc-status']}: ${trailers['grpc-message']}`),
    );
    this.#stream.on('response', (head) => {
      if (head['grpc-status'] !== undefined)
        this.#failed(`status ${head['grpc-status']}: ${head['grpc-message']}`);
    });
    this.#stream.on('error', (error) => this.#failed(error.message));
    const node = {
      id: `ztunnel~10.9.0.${number % 250}~ztunnel-${number}.istio-system~istio-system.svc.cluster.local`,
      cluster: '',
      metadata: { NAMESPACE: 'istio-system', SERVICE_ACCOUNT: 'ztunnel', NODE_NAME: `fake-${number}` },
    };
    for (const typeUrl of this.#awaited) this.#send(createDeltaRequest({ node, typeUrl }));
  }

  close(): void {
    this.#settled = true;
    this.#session.destroy();
  }

  #send(request: Parameters<typeof encodeDeltaRequest>[0]): void {
    const message = encodeDeltaRequest(request);
    const head = Buffer.alloc(FRAME_HEAD_BYTES);
    head.writeUInt32BE(message.length, 1);
    this.#stream.write(Buffer.concat([head, message]));
  }

  #receive(chunk: Buffer): void {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    while (this.#pendingBytes >= this.#wanted) {
      const bytes = this.#pending.length === 1 ? (this.#pending[0] ?? chunk) : Buffer.concat(this.#pending);
      this.#pending = [bytes];
      const frameBytes = FRAME_HEAD_BYTES + bytes.readUInt32BE(1);
      if (bytes.length < frameBytes) {
        this.#wanted = frameBytes;
        return;
      }
      const rest = bytes.subarray(frameBytes);
      this.#pending = rest.length > 0 ? [rest] : [];
      this.#pendingBytes = rest.length;
      this.#wanted = FRAME_HEAD_BYTES;
      this.#response(bytes.subarray(FRAME_HEAD_BYTES, frameBytes));
    }
  }

  #response(message: Buffer): void {
    const atMs = nowMs();
    const { typeUrl, nonce, names } = readDelta(message);
    this.#send(createDeltaRequest({ typeUrl, responseNonce: nonce }));
    if (this.#settled) {
      for (const name of names) arrivals.push({ name, atMs });
      return;
    }
    this.#resources += names.length;
    this.#messageBytes += message.length;
    this.#awaited.delete(typeUrl);
    if (this.#awaited.size > 0) return;
    this.#settled = true;
    this.#done({
      kind: 'synced',
      tookMs: atMs - this.#startedMs,
      resources: this.#resources,
      messageBytes: this.#messageBytes,
      wireBytes: this.#session.socket?.bytesRead ?? 0,
    });
  }

  #failed(reason: string): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#done({ kind: 'refused', reason });
  }
}

function answer(message: ClientsAnswer): void {
  process.send?.(message);
}

process.on('message', (order: ClientsOrder) => {
  switch (order.kind) {
    case 'connect':
      for (let i = 0; i < order.count; i++) clients.push(new Client(clients.length, answer));
      return;
    case 'collect':
      answer({ kind: 'arrivals', arrivals });
      arrivals = [];
      return;
    case 'close':
      for (const client of clients.splice(0)) client.close();
      answer({ kind: 'closed' });
  }
});
process.on('disconnect', () => process.exit(0));
