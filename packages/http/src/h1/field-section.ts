/**
 * Reads the field lines of a message: what is passed on, and what concerns framing and this connection alone.
 *
 * One pass over the octets. Whatever two parsers could read differently is refused here: folded lines, white space
 * before the colon, bare CR or LF, control octets, a repeated content-length, any transfer-encoding but `chunked`.
 */
import { HttpError } from '../errors.ts';
import { hashOctet, knownName, ROLE, type Role } from './field-names.ts';
import { COLON, CR, HTAB, LF, SP, TOKEN, VALUE } from './octets.ts';

/** Names that a peer may not have taken away by naming them in Connection: they frame, route or identify. */
const NOT_NOMINATED: ReadonlySet<string> = new Set([
  'authorization',
  'content-length',
  'cookie',
  'forwarded',
  'host',
  'x-forwarded-client-cert',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-request-id',
]);

const LARGEST_LENGTH_DIGITS = 15;

/** One message's fields; made anew for each, as `fields` is passed on. */
export class FieldSection {
  /** End-to-end fields, names in lower case. */
  fields: string[] = [];
  /** -1: none. */
  contentLength = -1;
  chunked = false;
  host: string | undefined;
  closes = false;
  keepsAlive = false;
  /** Connection names Upgrade. */
  upgrades = false;
  upgrade: string | undefined;
  expectsContinue = false;
  /** Fields of any meaning to the codec were among them. */
  hasSpecial = false;
  /** Fields that Connection names besides. */
  nominated: string[] | undefined;
}

/**
 * Reads `bytes[from..to)`, whole lines each with its CRLF. `text` is `bytes[base..)` as Latin-1.
 *
 * @throws {@link HttpError} Not as it must be, with the reason as its word.
 */
export function readFields(
  section: FieldSection,
  bytes: Buffer,
  from: number,
  to: number,
  text: string,
  base: number,
  maxFields: number,
): void {
  const { fields } = section;
  let at = from;
  let left = maxFields;
  while (at < to) {
    if (left-- === 0) throw new HttpError('limit', 'too-many-fields', { status: 431 });
    const nameFrom = at;
    let hash = 0;
    let octet = TOKEN[bytes[at] ?? 0] ?? 0;
    while (octet !== 0) {
      hash = hashOctet(hash, octet);
      octet = TOKEN[bytes[++at] ?? 0] ?? 0;
    }
    if (bytes[at] !== COLON || at === nameFrom) throw badName(bytes[at] ?? 0, at === nameFrom);
    const known = knownName(bytes, nameFrom, at, hash);
    const name = known ? known.name : text.slice(nameFrom - base, at - base).toLowerCase();

    at++;
    while (bytes[at] === SP || bytes[at] === HTAB) at++;
    const valueFrom = at;
    let valueTo = at;
    for (let kind = VALUE[bytes[at] ?? 0] ?? 0; kind !== 0; kind = VALUE[bytes[at] ?? 0] ?? 0) {
      at++;
      if (kind === 2) valueTo = at;
    }
    if (bytes[at] !== CR || bytes[at + 1] !== LF) throw badValue(bytes[at] ?? 0);
    at += 2;

    const value = text.slice(valueFrom - base, valueTo - base);
    if (!known || known.role === ROLE.plain) fields.push(name, value);
    else special(section, known.role, value);
  }
  if (section.nominated) removeNominated(section, section.nominated);
}

function special(section: FieldSection, role: Role, value: string): void {
  section.hasSpecial = true;
  switch (role) {
    case ROLE.contentLength:
      if (section.contentLength >= 0) throw malformed('duplicate-content-length');
      section.contentLength = lengthOf(value);
      section.fields.push('content-length', value);
      break;
    case ROLE.transferEncoding:
      if (section.chunked) throw malformed('duplicate-transfer-encoding');
      if (value.length !== 'chunked'.length || value.toLowerCase() !== 'chunked')
        throw malformed('illegal-transfer-encoding');
      section.chunked = true;
      break;
    case ROLE.host:
      if (section.host !== undefined) throw malformed('duplicate-host');
      section.host = value;
      break;
    case ROLE.connection:
      connection(section, value);
      break;
    case ROLE.upgrade:
      section.upgrade = section.upgrade === undefined ? value : `${section.upgrade}, ${value}`;
      break;
    case ROLE.expect:
      if (section.expectsContinue || value.toLowerCase() !== '100-continue')
        throw new HttpError('protocol', 'unknown-expectation', { status: 417 });
      section.expectsContinue = true;
      break;
    case ROLE.lookalike:
      throw malformed('illegal-field-name');
    case ROLE.te:
      if (/(^|[\t ,])trailers($|[\t ,;])/i.test(value)) section.fields.push('te', 'trailers');
      break;
    default:
  }
}

function lengthOf(value: string): number {
  if (value.length === 0 || value.length > LARGEST_LENGTH_DIGITS) throw malformed('illegal-content-length');
  let length = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) throw malformed('illegal-content-length');
    length = length * 10 + digit;
  }
  return length;
}

function connection(section: FieldSection, value: string): void {
  if (value === 'keep-alive') {
    section.keepsAlive = true;
    return;
  }
  for (const part of value.split(',')) {
    const option = part.trim().toLowerCase();
    switch (option) {
      case '':
      case 'te':
      case 'http2-settings':
      case 'transfer-encoding':
        break;
      case 'close':
        section.closes = true;
        break;
      case 'keep-alive':
        section.keepsAlive = true;
        break;
      case 'upgrade':
        section.upgrades = true;
        break;
      default:
        if (NOT_NOMINATED.has(option)) throw malformed('illegal-connection-option');
        section.nominated ??= [];
        section.nominated.push(option);
    }
  }
}

function removeNominated(section: FieldSection, nominated: readonly string[]): void {
  const { fields } = section;
  let to = 0;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (nominated.includes(name)) continue;
    fields[to++] = name;
    fields[to++] = fields[i + 1] ?? '';
  }
  fields.length = to;
}

function badName(octet: number, isFirst: boolean): HttpError {
  if (isFirst && (octet === SP || octet === HTAB)) return malformed('folded-line');
  if (octet === SP || octet === HTAB) return malformed('space-before-colon');
  return malformed('illegal-field-name');
}

function badValue(octet: number): HttpError {
  if (octet === CR) return malformed('bare-cr');
  if (octet === LF) return malformed('bare-lf');
  return malformed('illegal-field-value');
}

/**
 * Refuses lines of `bytes[from..)`, a head that is not whole, that end otherwise than in CRLF. What lies before `searched`
 * was looked at already: a head that trickles in is not read again with each octet.
 *
 * @throws {@link HttpError}
 */
export function checkLineEnds(bytes: Buffer, from: number, searched: number): void {
  for (let lf = bytes.indexOf(LF, Math.max(from, searched)); lf >= 0; lf = bytes.indexOf(LF, lf + 1)) {
    if (lf === from || bytes[lf - 1] !== CR) throw malformed('bare-lf');
  }
}

/** A message that no parser should have to guess about. */
export function malformed(reason: string): HttpError {
  return new HttpError('protocol', reason, { status: 400 });
}
