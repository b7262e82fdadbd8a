/**
 * Header fields as both codecs have them: one flat list, in the order of the wire, with lower-case names.
 *
 * Values are octets as Latin-1 text: one char, one octet, nothing decoded. A list is never changed, only made anew.
 */

/** Name, value, name, value…: what repeats on the wire repeats here. */
export type HeaderFields = readonly string[];

/** The first value of a field. */
export function fieldValue(fields: HeaderFields, name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1];
  return undefined;
}

/** All values of a field, joined by commas, as HTTP reads a field that repeats (RFC 9110 §5.2). */
export function joinedValue(fields: HeaderFields, name: string): string | undefined {
  let value: string | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== name) continue;
    value = value === undefined ? fields[i + 1] : `${value},${fields[i + 1]}`;
  }
  return value;
}

/** Whether a value may stand in a field: visible octets, spaces and tabs (RFC 9110 §5.5). What else there is no codec sends. */
export function isFieldValue(value: string): boolean {
  return !NOT_IN_VALUES.test(value);
}

/** Text as a value has it: the octets of UTF-8. */
export function octetsOf(text: string): string {
  return BEYOND_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
}

/** What a value's octets mean as UTF-8, which nobody promised: what is none comes as U+FFFD. */
export function textOfOctets(value: string): string {
  return BEYOND_ASCII.test(value) ? Buffer.from(value, 'latin1').toString('utf8') : value;
}

const BEYOND_ASCII = /[^\0-\x7f]/;
const NOT_IN_VALUES = /[^\t\x20-\x7e\x80-\xff]/;

/** Fields that a trailer may not be: they frame, route, authorize or say how to read, after the fact. */
export const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'host',
  'max-forwards',
  'pragma',
  'proxy-authorization',
  'range',
  'set-cookie',
  'te',
  'trailer',
]);
