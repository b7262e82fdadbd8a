/** Makes DNS answers: addresses of the mesh, errors, and the hint that an answer needs TCP. */
import { bytesOfIp } from '@ambit/core/ip';
import { ANSWER_TTL_SECONDS, MAX_UDP_ANSWER_BYTES, MIN_UDP_ANSWER_BYTES } from './limits.ts';
import { CLASS_IN, type DnsQuery, type Envelope, HEADER_BYTES, RCODE, TYPE } from './query.ts';

const FLAG = {
  response: 0x8000,
  authoritative: 0x0400,
  truncated: 0x0200,
  desired: 0x0100,
  available: 0x0080,
} as const;

/** A pointer to the name of the question. */
const QUESTION_NAME = 0xc000 | HEADER_BYTES;

/** What one message over UDP to this client may be. */
export function udpLimit({ edns }: Envelope): number {
  const wanted = edns?.payloadBytes ?? MIN_UDP_ANSWER_BYTES;
  return Math.min(MAX_UDP_ANSWER_BYTES, Math.max(MIN_UDP_ANSWER_BYTES, wanted));
}

/** Without any answer: an error, or with `noError` that the name has nothing of this type. */
export function errorReply(envelope: Envelope, rcode: number): Uint8Array {
  return message(envelope, rcode & 0xf, [], rcode >> 4);
}

/** The answer was too long for UDP: ask again over TCP. */
export function truncatedReply(envelope: Envelope): Uint8Array {
  return message(envelope, FLAG.truncated, []);
}

/**
 * Addresses under the name that was asked for.
 *
 * Without an address there is no CNAME either. A client asks for both families at once, and as a pod comes into the mesh one of
 * the two questions may still go to the cluster's DNS, which does not know the name with a search domain behind it. glibc
 * takes a CNAME alone for an answer, and ends its search with "no such host" where any other would have found the name.
 *
 * @param aliasLabels - How many labels of the question are the real name, if a search domain is behind them.
 */
export function addressReply(
  query: DnsQuery,
  ips: readonly string[],
  aliasLabels: number | undefined,
): Uint8Array {
  const records: Uint8Array[] = [];
  let owner = QUESTION_NAME;
  if (aliasLabels !== undefined && ips.length > 0) {
    const target = firstLabels(query.question, aliasLabels);
    const before = HEADER_BYTES + query.question.length + RECORD_FIXED_BYTES;
    records.push(record(owner, TYPE.cname, target));
    owner = 0xc000 | before;
  }
  for (const ip of ips) records.push(record(owner, query.type, bytesOfIp(ip) ?? new Uint8Array()));
  return message(query, FLAG.authoritative, records);
}

/** Name pointer, type, class, TTL and length. */
const RECORD_FIXED_BYTES = 12;

function record(owner: number, type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(RECORD_FIXED_BYTES + value.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, owner);
  view.setUint16(2, type);
  view.setUint16(4, CLASS_IN);
  view.setUint32(6, ANSWER_TTL_SECONDS);
  view.setUint16(10, value.length);
  bytes.set(value, RECORD_FIXED_BYTES);
  return bytes;
}

function firstLabels(question: Uint8Array, count: number): Uint8Array {
  let at = 0;
  for (let label = 0; label < count; label++) at += 1 + (question[at] ?? 0);
  return Uint8Array.of(...question.subarray(0, at), 0);
}

function message(
  { id, opcode, recursionDesired, question, edns }: Envelope,
  flags: number,
  answers: readonly Uint8Array[],
  extendedRcode = 0,
): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint16(0, id);
  const desired = recursionDesired ? FLAG.desired : 0;
  view.setUint16(2, FLAG.response | (opcode << 11) | FLAG.available | desired | flags);
  view.setUint16(4, question.length > 0 ? 1 : 0);
  view.setUint16(6, answers.length);
  view.setUint16(10, edns ? 1 : 0);
  const opt = edns ? [optRecord(extendedRcode, edns.dnssecOk)] : [];
  return Buffer.concat([header, question, ...answers, ...opt]);
}

function optRecord(extendedRcode: number, dnssecOk: boolean): Uint8Array {
  const bytes = new Uint8Array(11);
  const view = new DataView(bytes.buffer);
  view.setUint16(1, TYPE.opt);
  view.setUint16(3, MAX_UDP_ANSWER_BYTES);
  view.setUint8(5, extendedRcode);
  view.setUint16(7, dnssecOk ? 0x8000 : 0);
  return bytes;
}

/** The code of any answer, for logs. */
export function rcodeOf(answer: Uint8Array): number {
  return answer.length < HEADER_BYTES ? RCODE.formErr : (answer[3] ?? 0) & 0xf;
}
