/** For tests: a peer of a ztunnel, with a good or a bad certificate, that speaks HTTP/2 as it should or byte by byte. */
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { systemClock } from '@ambit/core/clock';
import { openTunnel, type Tunnel } from '@ambit/hbone/client';
import { StreamDuplex } from '@ambit/http/h2/stream-duplex';
import { frame } from '@ambit/http/h2/frame-writer';
import { FLAG, FRAME, PREFACE } from '@ambit/http/h2/protocol';
import { DEFAULT_SESSION_OPTIONS } from '@ambit/http/h2/session';
import { fieldValue } from '@ambit/http/header-fields';
import { connectFields } from '@ambit/hbone/headers';
import { type HeaderField, HpackEncoder } from '@ambit/http/hpack/encoder';
import { newTraceparent } from '@ambit/hbone/trace-context';
import { createFakeCa } from '@ambit/identity/fake-ca';
import { generateKeys } from '@ambit/identity/keys';
import { clientTlsOptions, verifyServerPeer } from '@ambit/identity/tls-context';
import { type WorkloadCertificate, workloadCertificate } from '@ambit/identity/workload-certificate';
import { createLeaf, type LeafOptions } from '@ambit/identity/x509';
import { NEIGHBOUR_IP, POD_IP, TRUST_DOMAIN } from './proxied-pod.ts';

export const ALICE = `spiffe://${TRUST_DOMAIN}/ns/shop/sa/alice`;
export const BOB = `spiffe://${TRUST_DOMAIN}/ns/shop/sa/bob`;
const WEB = `spiffe://${TRUST_DOMAIN}/ns/shop/sa/web`;
const TUNNEL_PORT = 15_008;
const HOUR_MS = 3_600_000;

/** Of the mesh's own CA. */
export async function certificateOf(identity: string): Promise<WorkloadCertificate> {
  return await (await createFakeCa({ clock: systemClock })).issueWorkload(identity);
}

/** Of the mesh's own CA, but breaking a rule. */
export async function oddCertificate(over: Partial<LeafOptions>): Promise<WorkloadCertificate> {
  const { material } = await createFakeCa({ clock: systemClock });
  const keys = await generateKeys();
  const now = systemClock.now();
  const validity = { notBeforeMs: now - HOUR_MS, notAfterMs: now + HOUR_MS };
  const leaf = await createLeaf(
    { names: { uris: [ALICE] }, publicKey: keys.publicKey, ...validity, ...over },
    material.signer,
  );
  return workloadCertificate(ALICE, keys.privateKey, [leaf, material.rootsPem.join('')]);
}

/** Validity that ended an hour ago. */
export function expired(): Pick<LeafOptions, 'notBeforeMs' | 'notAfterMs'> {
  const now = systemClock.now();
  return { notBeforeMs: now - 2 * HOUR_MS, notAfterMs: now - HOUR_MS };
}

export async function openGoodTunnel(): Promise<Tunnel> {
  return await openTunnel(
    {
      to: { ip: POD_IP, port: TUNNEL_PORT },
      fd: undefined,
      tls: clientTlsOptions(await certificateOf(ALICE)),
      verify: (socket) => verifyServerPeer(socket, [WEB]),
      session: { ...DEFAULT_SESSION_OPTIONS, clock: systemClock },
    },
    { onClosed: () => undefined },
  );
}

/** Opens a stream: the status that it was answered with, and the stream itself, which is usable if that is 200. */
export function connectThrough(
  { session }: Tunnel,
  authority: string,
): Promise<{ status: string; duplex: StreamDuplex }> {
  const client = { ip: NEIGHBOUR_IP, port: 40_000 };
  const traceparent = newTraceparent();
  const fields = connectFields({
    authority,
    baggage: '',
    client,
    host: undefined,
    traceparent,
    sourceNetwork: undefined,
  });
  return new Promise((resolve, reject) => {
    session.request(fields, {
      onHeaders: (stream, answer) => {
        const duplex = new StreamDuplex(stream);
        duplex.on('error', () => undefined);
        resolve({ status: fieldValue(answer, ':status') ?? '', duplex });
      },
      onData() {},
      onEnd() {},
      onReset: (_, error) => reject(error),
      onWritable() {},
    });
  });
}

/** What the application answers to `words` through the tunnel. */
export async function echoThrough(tunnel: Tunnel, authority: string, words: string): Promise<string> {
  const { status, duplex } = await connectThrough(tunnel, authority);
  if (status !== '200') throw new Error(`status ${status}`);
  duplex.end(words);
  return String(Buffer.concat(await duplex.toArray()));
}

const encoder = new HpackEncoder();

export function requestFrame(streamId: number, fields: readonly HeaderField[]): Buffer {
  return frame(FRAME.headers, FLAG.endHeaders, streamId, encoder.encode(fields));
}

export function connectFrame(streamId: number, authority: string): Buffer {
  return requestFrame(streamId, [
    { name: ':method', value: 'CONNECT', indexed: false },
    { name: ':authority', value: authority, indexed: false },
  ]);
}

export const SETTINGS_FRAME = frame(FRAME.settings, 0, 0, new Uint8Array(0));

export interface ReceivedFrame {
  readonly type: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** A TLS connection to 15008 on which the test says every byte itself. */
export class RawPeer implements Disposable {
  readonly socket: TLSSocket;
  readonly closed: Promise<void>;
  readonly #received: Buffer[] = [];

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on('error', () => undefined).on('data', (chunk: Buffer) => this.#received.push(chunk));
    this.closed = new Promise((resolve) => void socket.once('close', () => resolve()));
  }

  /** @param over - Replaces what a good client tells node:tls. */
  static connect(certificate: WorkloadCertificate, over: ConnectionOptions = {}): RawPeer {
    const options = { host: POD_IP, port: TUNNEL_PORT, ...clientTlsOptions(certificate), ...over };
    return new RawPeer(connectTls(options));
  }

  /** Connected as a good client, with preface and settings sent. */
  static async begun(certificate: WorkloadCertificate): Promise<RawPeer> {
    const peer = RawPeer.connect(certificate);
    await once(peer.socket, 'secureConnect');
    peer.say(PREFACE, SETTINGS_FRAME);
    return peer;
  }

  say(...bytes: readonly Uint8Array[]): void {
    for (const piece of bytes) this.socket.write(piece);
  }

  frames(): readonly ReceivedFrame[] {
    const all = Buffer.concat(this.#received);
    const frames: ReceivedFrame[] = [];
    for (let at = 0; at + 9 <= all.length; ) {
      const end = at + 9 + all.readUIntBE(at, 3);
      frames.push({
        type: all[at + 3] ?? 0,
        streamId: all.readUInt32BE(at + 5),
        payload: all.subarray(at + 9, end),
      });
      at = end;
    }
    return frames;
  }

  /** The code of the GOAWAY that came. */
  goaway(): number | undefined {
    return this.frames()
      .find(({ type }) => type === FRAME.goaway)
      ?.payload.readUInt32BE(4);
  }

  /** Codes of the RST_STREAM frames that came, by stream. */
  resets(): ReadonlyMap<number, number> {
    const resets = this.frames().filter(({ type }) => type === FRAME.rstStream);
    return new Map(resets.map(({ streamId, payload }) => [streamId, payload.readUInt32BE(0)]));
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
