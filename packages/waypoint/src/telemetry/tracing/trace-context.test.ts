import { describe, expect, test } from '@jest/globals';
import { parseB3, parseTraceparent, parseTraceState, readTrace, traceFields } from './trace-context.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const PARENT = '05e3ac9a4f6e3b90';

describe('traceparent', () => {
  const found = { traceId: TRACE, spanId: SPAN };
  const cases: Record<string, ReturnType<typeof parseTraceparent>> = {
    [`00-${TRACE}-${SPAN}-01`]: { ...found, sampled: true },
    [`00-${TRACE}-${SPAN}-00`]: { ...found, sampled: false },
    [`00-${TRACE}-${SPAN}-ff`]: { ...found, sampled: true },
    [`cc-${TRACE}-${SPAN}-01-what-comes-later`]: { ...found, sampled: true },
    [`00-${TRACE}-${SPAN}-01-more`]: undefined,
    [`cc-${TRACE}-${SPAN}-01.more`]: undefined,
    [`ff-${TRACE}-${SPAN}-01`]: undefined,
    [`00-${TRACE.toUpperCase()}-${SPAN}-01`]: undefined,
    [`00-${'0'.repeat(32)}-${SPAN}-01`]: undefined,
    [`00-${TRACE}-${'0'.repeat(16)}-01`]: undefined,
    [`00-${TRACE}-${SPAN}`]: undefined,
    [`00-${TRACE}-${SPAN}-1`]: undefined,
    '': undefined,
  };
  test.each(Object.entries(cases))('%s', (text, want) => expect(parseTraceparent(text)).toEqual(want));
});

describe('tracestate', () => {
  const cases: Record<string, readonly [readonly string[], string]> = {
    'several headers are one list': [['a=1, b=2', 'tenant@sys=x y'], 'a=1,b=2,tenant@sys=x y'],
    'empty members are nothing': [[' ,a=1,,'], 'a=1'],
    'one bad member spoils it': [['a=1,B=2'], ''],
    'a key stands once': [['a=1,a=2'], ''],
    'at most 32 members': [[Array.from({ length: 33 }, (_, i) => `k${i}=1`).join()], ''],
    'at most 512 characters': [[`a=${'x'.repeat(250)},b=${'x'.repeat(250)},c=${'x'.repeat(20)}`], ''],
    'a value does not end in a space, nor hold = or control characters': [['a=1=2'], ''],
  };
  test.each(Object.entries(cases))('%s', (_, [values, want]) => expect(parseTraceState(values)).toBe(want));
});

describe('b3', () => {
  const context = { traceId: TRACE, spanId: SPAN, state: '' };
  const cases: Record<string, ReturnType<typeof parseB3>> = {
    [`${TRACE}-${SPAN}-1-${PARENT}`]: { context: { ...context, sampled: true }, sampled: true },
    [`${TRACE}-${SPAN}-d`]: { context: { ...context, sampled: true }, sampled: true },
    [`${TRACE}-${SPAN}-0`]: { context: { ...context, sampled: false }, sampled: false },
    [`${TRACE}-${SPAN}`]: { context: { ...context, sampled: undefined }, sampled: undefined },
    [`${TRACE.slice(16)}-${SPAN}-1`]: {
      context: { ...context, traceId: `${'0'.repeat(16)}${TRACE.slice(16)}`, sampled: true },
      sampled: true,
    },
    '0': { context: undefined, sampled: false },
    '1': { context: undefined, sampled: true },
    d: { context: undefined, sampled: true },
    [`${TRACE}-${SPAN}-x`]: undefined,
    [`${TRACE}-${SPAN.slice(1)}-1`]: undefined,
    [`${TRACE}-${'0'.repeat(16)}-1`]: undefined,
    '': undefined,
  };
  test.each(Object.entries(cases))('%s', (text, want) => expect(parseB3(text)).toEqual(want));
});

describe('what a request says', () => {
  test('nothing', () => expect(readTrace(['host', 'x'])).toEqual({ formats: [] }));

  test('in several headers', () => {
    const fields = [
      'x-b3-traceid',
      TRACE,
      'x-b3-spanid',
      SPAN,
      'x-b3-parentspanid',
      PARENT,
      'x-b3-sampled',
      'true',
    ];
    expect(readTrace(fields)).toEqual({
      context: { traceId: TRACE, spanId: SPAN, sampled: true, state: '' },
      sampled: true,
      formats: ['b3-multi'],
    });
    expect(readTrace(['x-b3-sampled', '0'])).toEqual({
      context: undefined,
      sampled: false,
      formats: ['b3-multi'],
    });
    expect(readTrace(['x-b3-traceid', TRACE, 'x-b3-sampled', 'maybe'])).toEqual({ formats: [] });
    expect(readTrace([...fields, 'x-b3-flags', '1']).sampled).toBe(true);
  });

  test('W3C comes first; all forms are remembered', () => {
    const other = TRACE.replaceAll('0', '1');
    const fields = ['b3', `${other}-${SPAN}-0`, 'traceparent', `00-${TRACE}-${SPAN}-01`, 'tracestate', 'a=1'];
    expect(readTrace(fields)).toEqual({
      context: { traceId: TRACE, spanId: SPAN, sampled: true, state: 'a=1' },
      sampled: true,
      formats: ['w3c', 'b3'],
    });
  });

  test('two traceparents are none', () => {
    const one = `00-${TRACE}-${SPAN}-01`;
    expect(readTrace(['traceparent', one, 'traceparent', one])).toEqual({ formats: [] });
  });
});

test('what is told on is read back', () => {
  const trace = { traceId: TRACE, spanId: SPAN, parentSpanId: PARENT, sampled: true, state: 'a=1' };
  expect(traceFields(trace, ['w3c', 'b3', 'b3-multi', 'w3c'])).toEqual([
    'traceparent',
    `00-${TRACE}-${SPAN}-01`,
    'tracestate',
    'a=1',
    'b3',
    `${TRACE}-${SPAN}-1-${PARENT}`,
    'x-b3-traceid',
    TRACE,
    'x-b3-spanid',
    SPAN,
    'x-b3-parentspanid',
    PARENT,
    'x-b3-sampled',
    '1',
  ]);
  for (const format of ['w3c', 'b3', 'b3-multi'] as const)
    expect(readTrace(traceFields({ ...trace, sampled: false, state: '' }, [format]))).toEqual({
      context: { traceId: TRACE, spanId: SPAN, sampled: false, state: '' },
      sampled: false,
      formats: [format],
    });
});

test('hostile headers are a context that can be told on, or none: 30 000 mutations', () => {
  const seeds: readonly (readonly string[])[] = [
    ['traceparent', `00-${TRACE}-${SPAN}-01`, 'tracestate', 'a=1,b@c=2'],
    ['b3', `${TRACE}-${SPAN}-1-${PARENT}`],
    ['x-b3-traceid', TRACE, 'x-b3-spanid', SPAN, 'x-b3-sampled', '1', 'x-b3-flags', '0'],
  ];
  let state = 3;
  const below = (count: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % count;
  };
  let found = 0;
  for (let i = 0; i < 30_000; i++) {
    const fields = [...(seeds[i % seeds.length] ?? [])];
    const at = below(fields.length / 2) * 2 + 1;
    const text = (fields[at] ?? '').split('');
    for (let edits = below(3); edits >= 0; edits--)
      text.splice(below(text.length + 1), below(3), '0123456789abcdefF-=,@ \u00ff\u0000'[below(23)] ?? '');
    fields[at] = text.join('');
    const { context, formats } = readTrace(fields);
    if (!context) continue;
    found += 1;
    expect(context.traceId).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
    expect(context.spanId).toMatch(/^(?!0{16})[0-9a-f]{16}$/);
    expect(context.state).toMatch(/^[\u0020-\u007e]{0,512}$/);
    expect(formats.length).toBeGreaterThan(0);
  }
  expect(found).toBeGreaterThan(1_000);
});
