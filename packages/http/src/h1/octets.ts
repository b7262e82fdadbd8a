/** Which octets may stand where in HTTP/1.1 (RFC 9110 §5, RFC 9112 §3): tables, one lookup an octet. */

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const COLON = 0x3a;

/** For an octet of a token, its lower-case form; 0 for all others. */
export const TOKEN: Uint8Array = new Uint8Array(256);
for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
  TOKEN[char.charCodeAt(0)] = char.charCodeAt(0);
for (let upper = 0x41; upper <= 0x5a; upper++) TOKEN[upper] = upper + 0x20;

/** 2 for octets of a field value, 1 for the white space that is no part of it at its ends, 0 for what ends it. */
export const VALUE: Uint8Array = new Uint8Array(256).fill(2, 0x21, 0x7f).fill(2, 0x80);
VALUE[SP] = 1;
VALUE[HTAB] = 1;

/** 1 for octets of a request target: visible ASCII without the fragment's `#`, which never goes over the wire. */
export const TARGET: Uint8Array = new Uint8Array(256).fill(1, 0x21, 0x7f);
TARGET[0x23] = 0;

/** The value of a hexadecimal digit; 0xff for all other octets. */
export const HEX: Uint8Array = new Uint8Array(256).fill(0xff);
for (let digit = 0; digit < 16; digit++) {
  const char = digit.toString(16);
  HEX[char.charCodeAt(0)] = digit;
  HEX[char.toUpperCase().charCodeAt(0)] = digit;
}
