/** What a proxy must know of gRPC over HTTP/2: statuses in trailers, deadlines in a header, messages in a body. */

export const GRPC_STATUS = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  deadlineExceeded: 4,
  permissionDenied: 7,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** The status that says what an HTTP status says (gRPC's own table for clients that get HTTP from a proxy). */
export function grpcStatusOf(httpStatus: number): number {
  switch (httpStatus) {
    case 400:
      return GRPC_STATUS.internal;
    case 401:
      return GRPC_STATUS.unauthenticated;
    case 403:
      return GRPC_STATUS.permissionDenied;
    case 404:
      return GRPC_STATUS.unimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return GRPC_STATUS.unavailable;
    default:
      return GRPC_STATUS.unknown;
  }
}

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

const PREFIX_BYTES = 5;

/** Counts whole messages that pass: a flag and a length of four octets before each. */
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
