import { describe, expect, test } from '@jest/globals';
import { parseQuery, type ParsedQuery } from './query.ts';
import { addressReply, errorReply, truncatedReply, udpLimit } from './reply.ts';
import { Buffer } from 'node:buffer';
import { buildQuery } from './testing/messages.ts';

function summary(parsed: ParsedQuery): string {
  if (parsed.kind === 'drop') return 'drop';
  if (parsed.kind === 'error') return `error ${parsed.rcode} question ${parsed.envelope.question.length}`;
  const { name, type, edns } = parsed.query;
  return `${name ?? '(odd)'} ${type}${edns ? ` edns ${edns.payloadBytes}${edns.dnssecOk ? ' do' : ''}` : ''}`;
}

const plain = buildQuery({ name: 'web.app', type: 1 });
const patched = (at: number, ...values: number[]) => {
  const bytes = Uint8Array.from(plain);
  bytes.set(values, at);
  return bytes;
};

describe('parseQuery', () => {
  test.each<[string, Uint8Array, string]>([
    ['a question', plain, 'web.app 1'],
    ['in upper case', buildQuery({ name: 'WEB.App', type: 28 }), 'web.app 28'],
    ['for the root', buildQuery({ name: '', type: 2 }), ' 2'],
    [
      'with EDNS',
      buildQuery({ name: 'web', type: 1, edns: { payloadBytes: 1232, dnssecOk: true } }),
      'web 1 edns 1232 do',
    ],
    ['with a label of odd characters', buildQuery({ name: 'we b.app', type: 1 }), '(odd) 1'],
    ['with a label of 63 characters', buildQuery({ name: 'a'.repeat(63), type: 1 }), `${'a'.repeat(63)} 1`],
    ['nothing', new Uint8Array(), 'drop'],
    ['less than a header', plain.subarray(0, 11), 'drop'],
    ['a response', patched(2, 0x81), 'error 1 question 0'],
    ['an update', patched(2, 0x28), 'error 4 question 0'],
    ['no question', patched(4, 0, 0), 'error 1 question 0'],
    ['two questions', patched(4, 0, 2), 'error 1 question 0'],
    ['a name that is cut off', plain.subarray(0, 15), 'error 1 question 0'],
    ['a class that is cut off', plain.subarray(0, plain.length - 1), 'error 1 question 0'],
    ['a pointer in the question', patched(12, 0xc0, 12), 'error 1 question 0'],
    ['a label of 64', patched(12, 0x40), 'error 1 question 0'],
    [
      'a name of more than 255',
      buildQuery({ name: Array(5).fill('a'.repeat(60)).join('.'), type: 1 }),
      'error 1 question 0',
    ],
    ['bytes after its end', Uint8Array.of(...plain, 0), 'error 1 question 13'],
    ['records that are not there', patched(10, 0, 1), 'error 1 question 13'],
    ['more records than a question has', patched(10, 1, 0), 'error 1 question 13'],
    [
      'EDNS of a later version',
      buildQuery({ name: 'web', type: 1, edns: { payloadBytes: 512, version: 1 } }),
      'error 16 question 9',
    ],
    ['EDNS twice', twoOpts(), 'error 1 question 9'],
    ['more than a question may be', new Uint8Array(4097), 'error 1 question 0'],
  ])('%s', (_, bytes, want) => expect(summary(parseQuery(bytes))).toBe(want));

  test('keeps other records as they are', () => {
    const opt = buildQuery({
      name: 'web',
      type: 33,
      edns: { payloadBytes: 4096, options: Uint8Array.of(0, 10, 0, 2, 7, 7) },
    });
    const parsed = parseQuery(opt);
    expect(parsed.kind === 'query' && Buffer.from(parsed.query.bytes).equals(opt)).toBe(true);
  });

  test('survives any bytes: 50 000 mutations and random messages', () => {
    let state = 42;
    const below = (count: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state % count;
    };
    const seeds = [plain, buildQuery({ name: 'a.b.c', type: 28, edns: { payloadBytes: 1232 } })];
    const kinds = new Set<string>();
    for (let i = 0; i < 50_000; i++) {
      const seed = seeds[i % seeds.length] ?? plain;
      const bytes =
        i % 5 === 0 ? Uint8Array.from({ length: below(64) }, () => below(256)) : Uint8Array.from(seed);
      for (let flips = below(4); flips > 0 && bytes.length > 0; flips--)
        bytes[below(bytes.length)] = below(256);
      const cut = bytes.subarray(0, i % 3 === 0 ? below(bytes.length + 1) : bytes.length);
      const parsed = parseQuery(cut);
      kinds.add(parsed.kind);
      if (parsed.kind === 'error') errorReply(parsed.envelope, parsed.rcode);
      if (parsed.kind === 'query') {
        const { query } = parsed;
        expect(query.question.length).toBeGreaterThanOrEqual(5);
        expect(parseQuery(buildQuery({ name: query.name ?? '', type: query.type })).kind).toBe('query');
      }
    }
    expect([...kinds].sort()).toEqual(['drop', 'error', 'query']);
  });
});

function twoOpts(): Uint8Array {
  const one = buildQuery({ name: 'web', type: 1, edns: { payloadBytes: 512 } });
  const bytes = Uint8Array.of(...one, ...one.subarray(one.length - 11));
  bytes[11] = 2;
  return bytes;
}

describe('replies', () => {
  const parse = (options: Parameters<typeof buildQuery>[0]) => {
    const parsed = parseQuery(buildQuery(options));
    if (parsed.kind !== 'query') throw new Error(parsed.kind);
    return parsed.query;
  };

  test('an address, byte for byte', () => {
    const query = parse({ name: 'Web', type: 1, id: 0x1234 });
    expect(Buffer.from(addressReply(query, ['10.1.0.1'], undefined)).toString('hex')).toBe(
      '1234 8580 0001 0001 0000 0000 03576562 00 0001 0001 c00c 0001 0001 0000001e 0004 0a010001'.replaceAll(
        ' ',
        '',
      ),
    );
  });

  test('an alias: a CNAME to the name without its search domain, and the address under that', () => {
    const query = parse({ name: 'web.app', type: 28, id: 1 });
    expect(Buffer.from(addressReply(query, ['fd00::1'], 1)).toString('hex')).toBe(
      (
        '0001 8580 0001 0002 0000 0000 03776562 03617070 00 001c 0001 ' +
        'c00c 0005 0001 0000001e 0005 03776562 00 ' +
        'c025 001c 0001 0000001e 0010 fd000000000000000000000000000001'
      ).replaceAll(' ', ''),
    );
  });

  test('behind a search domain there is no canonical name without an address', () => {
    const query = parse({ name: 'web.app', type: 28, id: 1 });
    expect(Buffer.from(addressReply(query, [], 1)).toString('hex')).toBe(
      '0001 8580 0001 0000 0000 0000 03776562 03617070 00 001c 0001'.replaceAll(' ', ''),
    );
  });

  test('an error repeats the question, and EDNS if it was there', () => {
    const query = parse({
      name: 'web',
      type: 1,
      id: 7,
      recursionDesired: false,
      edns: { payloadBytes: 4096, dnssecOk: true },
    });
    expect(Buffer.from(errorReply(query, 2)).toString('hex')).toBe(
      '0007 8082 0001 0000 0000 0001 03776562 00 0001 0001 00 0029 1000 0000 8000 0000'.replaceAll(' ', ''),
    );
  });

  test('an extended error is split between header and EDNS', () => {
    const parsed = parseQuery(buildQuery({ name: 'web', type: 1, edns: { payloadBytes: 512, version: 1 } }));
    if (parsed.kind !== 'error') throw new Error(parsed.kind);
    const reply = errorReply(parsed.envelope, parsed.rcode);
    expect([(reply[3] ?? 0) & 0xf, reply[reply.length - 6]]).toEqual([0, 1]);
  });

  test('a truncated answer says so', () =>
    expect((truncatedReply(parse({ name: 'a', type: 1 }))[2] ?? 0) & 2).toBe(2));

  test.each([
    [undefined, 512],
    [100, 512],
    [1232, 1232],
    [65_535, 4096],
  ])('with a buffer of %s a client is sent at most %s bytes', (payloadBytes, want) =>
    expect(
      udpLimit(
        parse({ name: 'a', type: 1, ...(payloadBytes === undefined ? {} : { edns: { payloadBytes } }) }),
      ),
    ).toBe(want),
  );
});
