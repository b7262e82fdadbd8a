/**
 * The name that a TLS client asks for, read from its ClientHello without taking part in the handshake (RFC 8446 §4.1.2,
 * RFC 6066 §3).
 *
 * The hello may be spread over several records. Whatever does not read as one has no name: it is the endpoint's affair to
 * refuse it.
 */

export type ClientHello =
  /** `atLeast`: with fewer bytes in all it stays so. */
  | { readonly kind: 'incomplete'; readonly atLeast: number }
  | { readonly kind: 'hello'; readonly serverName: string | undefined; readonly alpn: readonly string[] }
  | { readonly kind: 'none' };

const RECORD_HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const RECORD_HEADER_BYTES = 5;
const MAX_RECORD_BYTES = 16_384;
const RANDOM_BYTES = 32;
const EXTENSION_SERVER_NAME = 0;
const EXTENSION_ALPN = 16;
const NAME_HOST = 0;
const MAX_NAME_BYTES = 255;
const MAX_ALPN_NAMES = 32;

const NONE: ClientHello = { kind: 'none' };

/** @param bytes - All that came so far, from the connection's first byte on. */
export function readClientHello(bytes: Uint8Array): ClientHello {
  const handshake = handshakeOf(bytes);
  if (handshake === 'none') return NONE;
  const message = handshake;
  if (message.length >= 1 && message[0] !== CLIENT_HELLO) return NONE;
  if (message.length < 4) return { kind: 'incomplete', atLeast: bytes.length + 4 - message.length };
  const length = ((message[1] ?? 0) << 16) | ((message[2] ?? 0) << 8) | (message[3] ?? 0);
  const missing = 4 + length - message.length;
  if (missing > 0) return { kind: 'incomplete', atLeast: bytes.length + missing };
  const reader = new Reader(message.subarray(4, 4 + length));
  reader.pass(2 + RANDOM_BYTES);
  reader.vector(1);
  reader.vector(2);
  reader.vector(1);
  const extensions = reader.isAtEnd ? new Reader(new Uint8Array(0)) : reader.vector(2);
  let serverName: string | undefined;
  let alpn: readonly string[] = [];
  while (!extensions.isAtEnd && !extensions.failed) {
    const type = extensions.number(2);
    const content = extensions.vector(2);
    if (type === EXTENSION_SERVER_NAME) serverName = nameOf(content);
    else if (type === EXTENSION_ALPN) alpn = protocolsOf(content);
  }
  return reader.failed || extensions.failed ? NONE : { kind: 'hello', serverName, alpn };
}

/** The handshake messages of the records so far, one behind the other. */
function handshakeOf(bytes: Uint8Array): 'none' | Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes[at] !== RECORD_HANDSHAKE || (bytes[at + 1] ?? 3) !== 3) return 'none';
    if (at + RECORD_HEADER_BYTES > bytes.length) break;
    const length = ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0);
    if (length === 0 || length > MAX_RECORD_BYTES) return 'none';
    const from = at + RECORD_HEADER_BYTES;
    parts.push(bytes.subarray(from, Math.min(from + length, bytes.length)));
    at = from + length;
  }
  return Buffer.concat(parts);
}

function nameOf(content: Reader): string | undefined {
  const names = content.vector(2);
  while (!names.isAtEnd && !names.failed) {
    const type = names.number(1);
    const name = names.vector(2);
    if (type !== NAME_HOST || name.failed) continue;
    const text = name.text();
    const isName = text.length > 0 && text.length <= MAX_NAME_BYTES && /^[A-Za-z0-9_.-]+$/.test(text);
    return isName ? text.toLowerCase().replace(/\.$/, '') : undefined;
  }
  return undefined;
}

function protocolsOf(content: Reader): readonly string[] {
  const list = content.vector(2);
  const names: string[] = [];
  while (!list.isAtEnd && !list.failed && names.length < MAX_ALPN_NAMES) names.push(list.vector(1).text());
  return names;
}

/** Reads forward; once it wanted more than there is, everything it reads is empty. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;
  failed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  pass(count: number): void {
    this.#take(count);
  }

  number(octets: number): number {
    let value = 0;
    for (const octet of this.#take(octets)) value = value * 256 + octet;
    return value;
  }

  /** A vector with its length in front, in `octets` octets. */
  vector(octets: number): Reader {
    const reader = new Reader(this.#take(this.number(octets)));
    reader.failed = this.failed;
    return reader;
  }

  text(): string {
    return Buffer.from(this.#bytes).toString('latin1');
  }

  #take(count: number): Uint8Array {
    if (this.failed || this.#at + count > this.#bytes.length) {
      this.failed = true;
      return new Uint8Array(0);
    }
    const taken = this.#bytes.subarray(this.#at, this.#at + count);
    this.#at += count;
    return taken;
  }
}
