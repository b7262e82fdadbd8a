/**
 * What a proxy must know of gRPC over HTTP/2: its content type, statuses in trailers, deadlines in a header, messages in a
 * body. Pure.
 */
import { GRPC_STATUSES, type GrpcStatus } from '@ambit/api/waypoint';
import { fieldValue, type HeaderFields, joinedValue } from '@ambit/http/header-fields';

const CONTENT_TYPE = 'application/grpc';
/** Of a call that we make. */
export const GRPC_REQUEST_FIELDS: HeaderFields = ['content-type', CONTENT_TYPE, 'te', 'trailers'];

/** Whether a request is gRPC, as Envoy and Istio tell it: by its content type. */
export function isGrpc(fields: HeaderFields): boolean {
  const type = joinedValue(fields, 'content-type');
  if (!type?.startsWith(CONTENT_TYPE)) return false;
  const { length } = CONTENT_TYPE;
  return type.length === length || type[length] === '+' || type[length] === ';';
}

/** An answer, or what is known of one. */
export interface GrpcAnswer {
  readonly fields: HeaderFields;
  readonly trailers: HeaderFields | undefined;
}

/** What gRPC says at the end of an answer: in the trailers, or in the head of an answer that has nothing else. */
export function grpcField({ fields, trailers }: GrpcAnswer, name: string): string | undefined {
  return (trailers && fieldValue(trailers, name)) ?? fieldValue(fields, name);
}

/** The number of a status. */
export function grpcStatus(name: GrpcStatus): number {
  return GRPC_STATUSES.indexOf(name);
}

/** The status that says what an HTTP status says (gRPC's own table for clients that get HTTP from a proxy). */
export function grpcStatusFor(httpStatus: number): number {
  return grpcStatus(STATUS_FOR[httpStatus] ?? 'UNKNOWN');
}

const STATUS_FOR: Readonly<Record<number, GrpcStatus>> = {
  400: 'INTERNAL',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'UNIMPLEMENTED',
  429: 'UNAVAILABLE',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'UNAVAILABLE',
};

const TIMEOUT = /^([0-9]{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** Milliseconds of a `grpc-timeout`, rounded up; `undefined` if it is none. */
export function parseGrpcTimeoutMs(value: string | undefined): number | undefined {
  const [, digits, unit] = TIMEOUT.exec(value ?? '') ?? [];
  const unitMs = UNIT_MS[unit ?? ''];
  return digits === undefined || unitMs === undefined ? undefined : Math.ceil(Number(digits) * unitMs);
}

/** Text as `grpc-message` carries it: printable ASCII, everything else as % and two digits. */
export function encodeGrpcMessage(text: string): string {
  let encoded = '';
  for (const octet of Buffer.from(text)) {
    const isPlain = octet >= 0x20 && octet <= 0x7e && octet !== 0x25;
    encoded += isPlain ? String.fromCharCode(octet) : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** A flag and a length of four octets before each message. */
const PREFIX_BYTES = 5;

/** One message of a gRPC call. */
export function grpcFrame(message: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(PREFIX_BYTES + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

/** The one message of an answer; `undefined` unless it is there, whole and not compressed. */
export function grpcMessage(body: Uint8Array): Uint8Array | undefined {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  if (bytes.length < PREFIX_BYTES || bytes[0] !== 0) return undefined;
  return bytes.readUInt32BE(1) === bytes.length - PREFIX_BYTES ? bytes.subarray(PREFIX_BYTES) : undefined;
}

/** Counts whole messages that pass. */
export class GrpcMessageCounter {
  #count = 0;
  /** Of the prefix that is being read. */
  #prefixRead = 0;
  #length = 0;
  /** Left of the message that is being read; -1 within a prefix. */
  #left = -1;

  get count(): number {
    return this.#count;
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#left < 0) {
        if (this.#prefixRead > 0) this.#length = this.#length * 256 + (bytes[at] ?? 0);
        at += 1;
        this.#prefixRead += 1;
        if (this.#prefixRead < PREFIX_BYTES) continue;
        this.#left = this.#length;
        this.#prefixRead = 0;
        this.#length = 0;
      }
      const taken = Math.min(this.#left, bytes.length - at);
      this.#left -= taken;
      at += taken;
      if (this.#left > 0) continue;
      this.#count += 1;
      this.#left = -1;
    }
  }
}
