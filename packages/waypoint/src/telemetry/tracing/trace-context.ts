/**
 * The headers that carry a trace from one program to the next: W3C Trace Context, and B3 in its two forms. Pure.
 *
 * What cannot be read is as if it were not there: a trace then begins anew. Nothing of it is ever believed.
 */
import type { HeaderFields } from '@ambit/http/header-fields';
import { fieldValue } from '@ambit/http/header-fields';
import { MAX_TRACE_STATE_CHARS, MAX_TRACE_STATE_MEMBERS } from '../limits.ts';

/** How a trace is told on. */
export type TraceFormat = 'w3c' | 'b3' | 'b3-multi';

/** What a request says of its trace. Identifiers are hexadecimal, in lower case. */
export interface TraceContext {
  /** 32 digits. */
  readonly traceId: string;
  /** 16 digits: the span of the caller. */
  readonly spanId: string;
  /** `undefined`: the caller leaves it to us. */
  readonly sampled: boolean | undefined;
  /** Of W3C: passed on as it is. */
  readonly state: string;
}

export interface IncomingTrace {
  /** `undefined` when the caller only decided on sampling (B3), or said nothing. */
  readonly context: TraceContext | undefined;
  readonly sampled: boolean | undefined;
  /** Forms that the request used: what follows says it in the same ones. */
  readonly formats: readonly TraceFormat[];
}

const NOTHING: IncomingTrace = { context: undefined, sampled: undefined, formats: [] };

/** W3C's form comes first where a request has several. */
export function readTrace(fields: HeaderFields): IncomingTrace {
  const found: (readonly [TraceFormat, Omit<IncomingTrace, 'formats'>])[] = [];
  const w3c = readW3c(fields);
  if (w3c) found.push(['w3c', { context: w3c, sampled: w3c.sampled }]);
  const b3 = fieldValue(fields, 'b3');
  const single = b3 === undefined ? undefined : parseB3(b3);
  if (single) found.push(['b3', single]);
  const multi = readB3Multi(fields);
  if (multi) found.push(['b3-multi', multi]);
  const [first] = found;
  if (!first) return NOTHING;
  const best = found.find(([, { context }]) => context) ?? first;
  return { ...best[1], formats: found.map(([format]) => format) };
}

function readW3c(fields: HeaderFields): TraceContext | undefined {
  const parents = valuesOf(fields, 'traceparent');
  const [parent] = parents;
  if (parent === undefined || parents.length !== 1) return undefined;
  const parsed = parseTraceparent(parent);
  return parsed && { ...parsed, state: parseTraceState(valuesOf(fields, 'tracestate')) };
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/s;

/** `undefined` for what is no traceparent of a version that is, or may come to be. */
export function parseTraceparent(text: string): Omit<TraceContext, 'state'> | undefined {
  const [, version, traceId = '', spanId = '', flags = '', rest] = TRACEPARENT.exec(text.trim()) ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (isZero(traceId) || isZero(spanId)) return undefined;
  return { traceId, spanId, sampled: (parseInt(flags, 16) & 1) === 1 };
}

const STATE_MEMBER =
  /^[a-z0-9][a-z0-9_*/-]{0,240}(@[a-z][a-z0-9_*/-]{0,13})?=[\u0020-\u002b\u002d-\u003c\u003e-\u007e]{0,255}[\u0021-\u002b\u002d-\u003c\u003e-\u007e]$/;

/** Members joined anew; '' for what is no tracestate, or too much. */
export function parseTraceState(values: readonly string[]): string {
  const members = values
    .join(',')
    .split(',')
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter((member) => member !== '');
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf('='))));
  const text = members.join(',');
  const valid =
    members.length <= MAX_TRACE_STATE_MEMBERS &&
    text.length <= MAX_TRACE_STATE_CHARS &&
    keys.size === members.length &&
    members.every((member) => STATE_MEMBER.test(member));
  return valid ? text : '';
}

const B3 = /^([0-9a-f]{32}|[0-9a-f]{16})-([0-9a-f]{16})(?:-([01d])(?:-([0-9a-f]{16}))?)?$/;

/** `undefined` for what is no single B3 header. */
export function parseB3(text: string): Omit<IncomingTrace, 'formats'> | undefined {
  const value = text.trim().toLowerCase();
  if (/^[01d]$/.test(value)) return { context: undefined, sampled: value !== '0' };
  const [, traceId, spanId = '', state] = B3.exec(value) ?? [];
  if (traceId === undefined || isZero(traceId) || isZero(spanId)) return undefined;
  const sampled = state === undefined ? undefined : state !== '0';
  return { context: { traceId: traceId.padStart(32, '0'), spanId, sampled, state: '' }, sampled };
}

const MULTI_SAMPLED: Readonly<Record<string, boolean>> = { '1': true, true: true, '0': false, false: false };

function readB3Multi(fields: HeaderFields): Omit<IncomingTrace, 'formats'> | undefined {
  const read = (name: string) => fieldValue(fields, name)?.trim().toLowerCase();
  const said = read('x-b3-sampled') ?? '';
  const decided = Object.hasOwn(MULTI_SAMPLED, said) ? MULTI_SAMPLED[said] : undefined;
  const sampled = read('x-b3-flags') === '1' ? true : decided;
  const traceId = read('x-b3-traceid') ?? '';
  const spanId = read('x-b3-spanid') ?? '';
  const valid =
    /^(?:[0-9a-f]{32}|[0-9a-f]{16})$/.test(traceId) &&
    /^[0-9a-f]{16}$/.test(spanId) &&
    !isZero(traceId) &&
    !isZero(spanId);
  if (valid) return { context: { traceId: traceId.padStart(32, '0'), spanId, sampled, state: '' }, sampled };
  return sampled === undefined ? undefined : { context: undefined, sampled };
}

/** What goes on with a request: we are the caller now. */
export interface OutgoingTrace {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly sampled: boolean;
  readonly state: string;
}

/** Header fields in each of these forms. */
export function traceFields(trace: OutgoingTrace, formats: Iterable<TraceFormat>): HeaderFields {
  return [...new Set(formats)].flatMap((format) => WRITE[format](trace));
}

const WRITE: Readonly<Record<TraceFormat, (trace: OutgoingTrace) => HeaderFields>> = {
  w3c: ({ traceId, spanId, sampled, state }) => [
    'traceparent',
    `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`,
    ...(state === '' ? [] : ['tracestate', state]),
  ],
  b3: ({ traceId, spanId, parentSpanId, sampled }) => [
    'b3',
    `${traceId}-${spanId}-${sampled ? '1' : '0'}${parentSpanId === '' ? '' : `-${parentSpanId}`}`,
  ],
  'b3-multi': ({ traceId, spanId, parentSpanId, sampled }) => [
    'x-b3-traceid',
    traceId,
    'x-b3-spanid',
    spanId,
    ...(parentSpanId === '' ? [] : ['x-b3-parentspanid', parentSpanId]),
    'x-b3-sampled',
    sampled ? '1' : '0',
  ],
};

function valuesOf(fields: HeaderFields, name: string): readonly string[] {
  const values: string[] = [];
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) values.push(fields[i + 1] ?? '');
  return values;
}

function isZero(digits: string): boolean {
  return /^0*$/.test(digits);
}
