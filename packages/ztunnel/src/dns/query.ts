/**
 * Reads a DNS question from bytes: as much as deciding needs, and strictly; the bytes themselves go on unchanged.
 *
 * No compression pointer is ever followed: the question's name may not have one, and other names are only skipped. So
 * there is no loop to fall into.
 */
import { MAX_QUERY_BYTES, MAX_QUERY_RECORDS } from './limits.ts';

export const HEADER_BYTES = 12;

export const RCODE = { noError: 0, formErr: 1, servFail: 2, nxDomain: 3, notImp: 4, badVers: 16 } as const;

export const TYPE = { a: 1, cname: 5, aaaa: 28, opt: 41 } as const;

export const CLASS_IN = 1;

export interface Edns {
  /** What the client takes over UDP. */
  readonly payloadBytes: number;
  readonly dnssecOk: boolean;
}

/** As much of a message as an error answer repeats. */
export interface Envelope {
  readonly id: number;
  readonly opcode: number;
  readonly recursionDesired: boolean;
  /** Name, type and class as they came; empty when they could not be read. */
  readonly question: Uint8Array;
  readonly edns: Edns | undefined;
}

export interface DnsQuery extends Envelope {
  readonly bytes: Uint8Array;
  /** Lower case, without final dot; `undefined` where a label has characters that no host name of the mesh has. */
  readonly name: string | undefined;
  readonly type: number;
  readonly class: number;
}

export type ParsedQuery =
  | { readonly kind: 'query'; readonly query: DnsQuery }
  | { readonly kind: 'error'; readonly rcode: number; readonly envelope: Envelope }
  /** Nothing that could be answered. */
  | { readonly kind: 'drop' };

export function parseQuery(bytes: Uint8Array): ParsedQuery {
  if (bytes.length < HEADER_BYTES) return { kind: 'drop' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const flags = view.getUint16(2);
  const bare: Envelope = {
    id: view.getUint16(0),
    opcode: (flags >> 11) & 0xf,
    recursionDesired: (flags & 0x0100) !== 0,
    question: new Uint8Array(),
    edns: undefined,
  };
  const error = (rcode: number, envelope: Envelope = bare): ParsedQuery => ({
    kind: 'error',
    rcode,
    envelope,
  });
  const isResponse = (flags & 0x8000) !== 0;
  if (isResponse || bytes.length > MAX_QUERY_BYTES) return error(RCODE.formErr);
  if (bare.opcode !== 0) return error(RCODE.notImp);
  const end = view.getUint16(4) === 1 ? questionEnd(bytes) : undefined;
  if (end === undefined) return error(RCODE.formErr);
  const asked: Envelope = { ...bare, question: bytes.subarray(HEADER_BYTES, end) };
  const extra = readRecords(bytes, view, end);
  if (extra === 'malformed') return error(RCODE.formErr, asked);
  const envelope: Envelope = { ...asked, edns: extra?.edns };
  if (extra && extra.version !== 0) return error(RCODE.badVers, envelope);
  const query = {
    ...envelope,
    bytes,
    name: hostname(asked.question),
    type: view.getUint16(end - 4),
    class: view.getUint16(end - 2),
  };
  return { kind: 'query', query };
}

/** Where the question after the header ends; `undefined` when it does not fit. */
export function questionEnd(bytes: Uint8Array): number | undefined {
  const nameEnd = skipLabels(bytes, HEADER_BYTES);
  if (nameEnd === undefined || nameEnd.isPointer || nameEnd.at + 4 > bytes.length) return undefined;
  return nameEnd.at + 4;
}

/** The name of a question in plain text, or `undefined` where it has none. The bytes have been checked. */
function hostname(question: Uint8Array): string | undefined {
  const labels: string[] = [];
  for (let at = 0; question[at] !== 0 && at < question.length; ) {
    const length = question[at] ?? 0;
    const label = String.fromCharCode(...question.subarray(at + 1, at + 1 + length)).toLowerCase();
    if (!/^[a-z0-9_*-]+$/.test(label)) return undefined;
    labels.push(label);
    at += 1 + length;
  }
  return labels.join('.');
}

const MAX_NAME_BYTES = 255;

/** Past a name: after its root label, or after the pointer that it ends with. */
function skipLabels(
  bytes: Uint8Array,
  start: number,
): { readonly at: number; readonly isPointer: boolean } | undefined {
  let at = start;
  while (at - start < MAX_NAME_BYTES) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    if (length === 0) return { at: at + 1, isPointer: false };
    if (length >= 0xc0) return at + 2 <= bytes.length ? { at: at + 2, isPointer: true } : undefined;
    if (length > 63) return undefined;
    at += 1 + length;
  }
  return undefined;
}

type Extra = { readonly edns: Edns; readonly version: number } | undefined;

/** Walks the records after the question, to their exact end, for the one OPT that there may be. */
function readRecords(bytes: Uint8Array, view: DataView, start: number): Extra | 'malformed' {
  const others = view.getUint16(6) + view.getUint16(8);
  const count = others + view.getUint16(10);
  if (count > MAX_QUERY_RECORDS) return 'malformed';
  let at = start;
  let extra: Extra;
  for (let index = 0; index < count; index++) {
    const name = skipLabels(bytes, at);
    if (name === undefined || name.at + 10 > bytes.length) return 'malformed';
    const fixed = name.at;
    const next = fixed + 10 + view.getUint16(fixed + 8);
    if (next > bytes.length) return 'malformed';
    if (view.getUint16(fixed) === TYPE.opt) {
      const isRoot = name.at === at + 1;
      if (!isRoot || extra || index < others) return 'malformed';
      const edns = {
        payloadBytes: view.getUint16(fixed + 2),
        dnssecOk: (view.getUint16(fixed + 6) & 0x8000) !== 0,
      };
      extra = { edns, version: view.getUint8(fixed + 5) };
    }
    at = next;
  }
  return at === bytes.length ? extra : 'malformed';
}
