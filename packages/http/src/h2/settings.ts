/** SETTINGS: what each side tells the other about itself (RFC 9113 §6.5). */
import { H2ConnectionError } from '../errors.ts';
import {
  DEFAULT_MAX_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  H2,
  LARGEST_MAX_FRAME_BYTES,
  LARGEST_WINDOW_BYTES,
  SETTING,
} from './protocol.ts';

const ENTRY_BYTES = 6;

/** The peer's settings as they stand. */
export class PeerSettings {
  headerTableBytes = 4_096;
  maxStreams = Number.POSITIVE_INFINITY;
  initialWindowBytes = DEFAULT_WINDOW_BYTES;
  maxFrameBytes = DEFAULT_MAX_FRAME_BYTES;
  /** The peer takes CONNECT with a protocol (RFC 8441). */
  extendedConnect = false;
  /** The peer keeps what follows a CONNECT until it has answered. */
  takesEarlyData = false;
  /** After how many octets on a stream the peer waits for its answer; 0: from the start. */
  earlyDataBytes = 0;

  /** @throws {@link H2ConnectionError} A value is not allowed. */
  apply(payload: Buffer, fromServer: boolean): void {
    if (payload.length % ENTRY_BYTES !== 0) {
      throw new H2ConnectionError(H2.frameSizeError, 'SETTINGS length is not a multiple of 6');
    }
    for (let at = 0; at < payload.length; at += ENTRY_BYTES) {
      this.#set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2), fromServer);
    }
  }

  #set(id: number, value: number, fromServer: boolean): void {
    switch (id) {
      case SETTING.headerTableSize:
        this.headerTableBytes = value;
        break;
      case SETTING.enablePush:
        if (value > 1 || (fromServer && value !== 0)) {
          throw new H2ConnectionError(H2.protocolError, `ENABLE_PUSH is ${value}`);
        }
        break;
      case SETTING.maxConcurrentStreams:
        this.maxStreams = value;
        break;
      case SETTING.initialWindowSize:
        if (value > LARGEST_WINDOW_BYTES) {
          throw new H2ConnectionError(H2.flowControlError, `INITIAL_WINDOW_SIZE is ${value}`);
        }
        this.initialWindowBytes = value;
        break;
      case SETTING.maxFrameSize:
        if (value < DEFAULT_MAX_FRAME_BYTES || value > LARGEST_MAX_FRAME_BYTES) {
          throw new H2ConnectionError(H2.protocolError, `MAX_FRAME_SIZE is ${value}`);
        }
        this.maxFrameBytes = value;
        break;
      case SETTING.enableConnectProtocol:
        if (value > 1 || (this.extendedConnect && value === 0)) {
          throw new H2ConnectionError(H2.protocolError, `ENABLE_CONNECT_PROTOCOL is ${value}`);
        }
        this.extendedConnect = value === 1;
        break;
      case SETTING.earlyData:
        if (fromServer) this.takesEarlyData = value === 1;
        else this.earlyDataBytes = value;
        break;
      default:
    }
  }
}

/** The payload that announces these values, in this order. */
export function encodeSettings(entries: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.allocUnsafe(entries.length * ENTRY_BYTES);
  entries.forEach(([id, value], i) => {
    payload.writeUInt16BE(id, i * ENTRY_BYTES);
    payload.writeUInt32BE(value, i * ENTRY_BYTES + 2);
  });
  return payload;
}

/** What a side says of itself first. */
export function firstSettings(
  isServer: boolean,
  own: {
    readonly maxStreams: number;
    readonly streamWindowBytes: number;
    readonly maxFrameBytes: number;
    readonly headerListBytes: number;
    readonly extendedConnect: boolean;
    readonly takesEarlyData: boolean;
    readonly earlyDataBytes: number;
  },
): Buffer {
  return encodeSettings([
    isServer ? [SETTING.maxConcurrentStreams, own.maxStreams] : [SETTING.enablePush, 0],
    [SETTING.initialWindowSize, own.streamWindowBytes],
    [SETTING.maxFrameSize, own.maxFrameBytes],
    [SETTING.maxHeaderListSize, own.headerListBytes],
    ...(isServer && own.extendedConnect ? [[SETTING.enableConnectProtocol, 1] as const] : []),
    ...(isServer && own.takesEarlyData ? [[SETTING.earlyData, 1] as const] : []),
    ...(!isServer && own.earlyDataBytes > 0 ? [[SETTING.earlyData, own.earlyDataBytes] as const] : []),
  ]);
}
