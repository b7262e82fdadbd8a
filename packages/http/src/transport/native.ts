/**
 * Node's stream handles, below `net.Socket`: the one file that relies on what Node does not document.
 *
 * A proxied connection passes through here without a `net.Socket` of its own, which would cost several kilobytes and
 * some ten microseconds each. Node is pinned, and `native.test.ts` fails the day one of these facts changes:
 * a handle calls `onread` with the count in `streamBaseState` and reads into the buffer given to `useUserBuffer`, or
 * returned by the last `onread`; `writeBuffer(null, bytes)` returns 0 when all went out, or a request that keeps
 * pointing into `bytes` until `oncomplete`; a TLS handle encrypts or copies before it returns, and bears one write at a time.
 */
import type { Server, Socket } from 'node:net';
import { MeshError } from '@ambit/core/errors';

interface StreamBinding {
  readonly kReadBytesOrError: number;
  readonly kLastWriteErr: number;
  readonly streamBaseState: Int32Array;
  readonly ShutdownWrap: new () => ShutdownRequest;
}

interface TcpBinding {
  readonly TCP: new (type: number) => TcpHandle;
  readonly TCPConnectWrap: new () => ConnectRequest;
  readonly constants: { readonly SOCKET: number };
}

/** What the handles of TCP and TLS connections have in common. */
export interface StreamHandle {
  /** Ours: who hears of it. */
  owner?: StreamOwner | undefined;
  onread: ((this: StreamHandle) => Uint8Array | undefined) | undefined;
  readonly writeQueueSize: number;
  readStart(): number;
  readStop(): number;
  useUserBuffer(buffer: Uint8Array): void;
  writeBuffer(request: null, bytes: Uint8Array): number | WriteRequest;
  shutdown(request: ShutdownRequest): number;
  close(onClosed?: () => void): void;
}

export interface TcpHandle extends StreamHandle {
  readonly fd: number;
  open(fd: number): number;
  connect(request: ConnectRequest, ip: string, port: number): number;
  connect6(request: ConnectRequest, ip: string, port: number): number;
  getpeername(into: AddressInfo): number;
  getsockname(into: AddressInfo): number;
  setNoDelay(on: boolean): number;
  reset(onClosed?: () => void): number;
}

export interface AddressInfo {
  address?: string;
  port?: number;
}

interface WriteRequest {
  oncomplete: (this: WriteRequest, status: number) => void;
  writeStatus: number | null;
  /** Ours. The bytes must live until the request completes. */
  owner?: StreamOwner;
  bytes?: Uint8Array;
}

interface ShutdownRequest {
  oncomplete: (this: ShutdownRequest, status: number) => void;
}

interface ConnectRequest {
  oncomplete: (this: ConnectRequest, status: number) => void;
  owner?: StreamOwner;
}

/** Hears of one handle. Statuses are 0 or negative `uv` errors. */
export interface StreamOwner {
  /** `count` bytes are at the start of the registered buffer; the answer, if any, is registered instead. */
  onRead(count: number): Uint8Array | undefined;
  /** End of data (`UV_EOF`) or an error. */
  onReadEnd(status: number): void;
  onWritten(status: number): void;
  onConnected(status: number): void;
}

/** The Node that runs this is not the one it was written for. */
export class NativeStreamError extends MeshError {
  readonly code = 'NATIVE_STREAM';
  readonly side = 'internal';

  constructor(what: string) {
    super(`Node ${process.version}: ${what}; use the pinned version`);
  }
}

export const UV_EOF = -4095;
const UV_EBADF = -9;
const NOTHING = new Uint8Array(0);

const streams = binding<StreamBinding>('stream_wrap');
const tcp = binding<TcpBinding>('tcp_wrap');
if (typeof streams.kLastWriteErr !== 'number' || typeof streams.kReadBytesOrError !== 'number') {
  throw new NativeStreamError('stream handles have another interface');
}
const state = streams.streamBaseState;
const READ_COUNT = streams.kReadBytesOrError;
const WRITE_ERROR = streams.kLastWriteErr;

function binding<T>(name: string): T {
  if (!('binding' in process) || typeof process.binding !== 'function')
    throw new NativeStreamError('no process.binding');
  return process.binding(name) as T;
}

/** Directs what the handle reads to `owner`, into `buffer`. */
export function own(handle: StreamHandle, owner: StreamOwner, buffer: Uint8Array): void {
  handle.owner = owner;
  handle.onread = onRead;
  handle.useUserBuffer(buffer);
}

function onRead(this: StreamHandle): Uint8Array | undefined {
  const count = state[READ_COUNT] ?? 0;
  const { owner } = this;
  if (count === 0 || owner === undefined) return undefined;
  if (count > 0) return owner.onRead(count);
  owner.onReadEnd(count);
  return undefined;
}

/** How a write went: `done` frees the bytes, `held` keeps them until `onWritten`; a number is a `uv` error. */
export type WriteOutcome = 'done' | 'held' | number;

/** Writes `bytes`. With `held`, nothing may be written before `owner.onWritten`. */
export function write(
  handle: StreamHandle,
  owner: StreamOwner,
  bytes: Uint8Array,
  onComplete: WriteRequest['oncomplete'] = onWritten,
): WriteOutcome {
  const result = handle.writeBuffer(null, bytes);
  if (typeof result === 'number') return result === 0 ? 'done' : result;
  const error = state[WRITE_ERROR] ?? 0;
  if (error !== 0) return error;
  if (result.writeStatus !== null) return result.writeStatus === 0 ? 'done' : result.writeStatus;
  result.oncomplete = onComplete;
  result.owner = owner;
  result.bytes = bytes;
  return 'held';
}

function onWritten(this: WriteRequest, status: number): void {
  this.owner?.onWritten(status);
}

/** Sends FIN after what was written. Errors do not matter: reading finds out. */
export function shutdown(handle: StreamHandle): void {
  const request = new streams.ShutdownWrap();
  request.oncomplete = ignore;
  handle.shutdown(request);
}

function ignore(): void {}

/** Connects a new socket in this thread's namespace; `owner.onConnected` tells how it went. The handle, or a `uv` error. */
export function connectTcp(owner: StreamOwner, ip: string, port: number): TcpHandle | number {
  const handle = new tcp.TCP(tcp.constants.SOCKET);
  const request = new tcp.TCPConnectWrap();
  request.oncomplete = onConnected;
  request.owner = owner;
  const started = ip.includes(':') ? handle.connect6(request, ip, port) : handle.connect(request, ip, port);
  if (started === 0) return handle;
  handle.close();
  return started;
}

function onConnected(this: ConnectRequest, status: number): void {
  this.owner?.onConnected(status);
}

/** A connection that somebody else began to make. */
export interface Begun {
  readonly handle: TcpHandle;
  /** Whether it is made; else `owner.onConnected` tells how it went. */
  readonly isConnected: boolean;
}

/**
 * Adopts a socket that is connecting, by its fd, which it owns from then on. A `uv` error if the connection has failed.
 *
 * Writing nothing asks: that is done once the connection is made, fails with it, and waits for either. Where it is made
 * already it costs no turn of the event loop, as asking `epoll` would.
 */
export function adoptConnecting(fd: number, owner: StreamOwner): Begun | number {
  const handle = adoptConnection(fd);
  if (!handle) return UV_EBADF;
  const outcome = write(handle, owner, NOTHING, onBegun);
  if (typeof outcome !== 'number') return { handle, isConnected: outcome === 'done' };
  handle.close();
  return outcome;
}

function onBegun(this: WriteRequest, status: number): void {
  this.owner?.onConnected(status);
}

/**
 * Hands over connections that `server` accepts as bare handles, instead of as sockets with a `connection` event. They
 * inherit of the listening socket that small writes go out at once: else the second of two waits until the peer, which
 * may have nothing to say, acknowledges the first.
 */
export function acceptHandles(
  server: Server,
  onAccepted: (handle: TcpHandle) => void,
  onError: (status: number) => void,
): void {
  const { _handle: handle } = server as unknown as {
    _handle?: { onconnection?: unknown } & Pick<TcpHandle, 'setNoDelay'>;
  };
  if (typeof handle?.onconnection !== 'function') throw new NativeStreamError('a server has no onconnection');
  handle.setNoDelay(true);
  handle.onconnection = (status: number, client: TcpHandle | undefined) => {
    if (status !== 0 || client === undefined) onError(status);
    else onAccepted(client);
  };
}

/** The handle of a connection that was accepted by its fd, which it owns from then on; `undefined` if that is none. */
export function adoptConnection(fd: number): TcpHandle | undefined {
  const handle = new tcp.TCP(tcp.constants.SOCKET);
  if (handle.open(fd) === 0) return handle;
  handle.close();
  return undefined;
}

/** The handle of a connected `net.Socket` or `TLSSocket`; `undefined` once it is destroyed. */
export function handleOf(socket: Socket): StreamHandle | undefined {
  return (socket as unknown as { _handle?: StreamHandle | null })._handle ?? undefined;
}

/** What `new net.Socket(...)` takes to adopt an accepted handle. */
export function socketOptions(handle: TcpHandle): { readonly allowHalfOpen: boolean } {
  const options: { allowHalfOpen: boolean; handle: TcpHandle } = { allowHalfOpen: true, handle };
  return options;
}
