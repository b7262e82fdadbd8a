import { describe, expect, test } from '@jest/globals';
import { HpackError } from '../errors.ts';
import type { HeaderFields } from '../header-fields.ts';
import { HpackDecoder } from './decoder.ts';
import { HpackEncoder } from './encoder.ts';
import { decodeHuffman } from './huffman.ts';

const LIST_BYTES = 65_536;
const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const decode = (decoder: HpackDecoder, block: string) => decoder.decode(hex(block)).fields;

/** Octets that any generator repeats: a small linear congruential one. */
function randomBytes(seed: number): (count: number) => Buffer {
  let state = seed >>> 0;
  return (count) => {
    const bytes = Buffer.alloc(count);
    for (let i = 0; i < count; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      bytes[i] = state >>> 24;
    }
    return bytes;
  };
}

describe('RFC 7541 appendix C', () => {
  const single: Record<string, { block: string; want: HeaderFields }> = {
    'C.2.1 literal with indexing': {
      block: '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
      want: ['custom-key', 'custom-header'],
    },
    'C.2.2 literal without indexing': {
      block: '040c 2f73 616d 706c 652f 7061 7468',
      want: [':path', '/sample/path'],
    },
    'C.2.3 literal never indexed': {
      block: '1008 7061 7373 776f 7264 0673 6563 7265 74',
      want: ['password', 'secret'],
    },
    'C.2.4 indexed': { block: '82', want: [':method', 'GET'] },
  };
  test.each(Object.entries(single))('%s', (_, { block, want }) => {
    expect(decode(new HpackDecoder(4096, LIST_BYTES), block)).toEqual(want);
  });

  const GET = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com'];
  const requests = [
    GET,
    [...GET, 'cache-control', 'no-cache'],
    [
      ...[':method', 'GET', ':scheme', 'https', ':path', '/index.html', ':authority', 'www.example.com'],
      ...['custom-key', 'custom-value'],
    ],
  ];
  const responses = [
    [
      ':status',
      '302',
      'cache-control',
      'private',
      'date',
      'Mon, 21 Oct 2013 20:13:21 GMT',
      'location',
      'https://www.example.com',
    ],
    [
      ':status',
      '307',
      'cache-control',
      'private',
      'date',
      'Mon, 21 Oct 2013 20:13:21 GMT',
      'location',
      'https://www.example.com',
    ],
    [
      ...[':status', '200', 'cache-control', 'private', 'date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
      ...['location', 'https://www.example.com', 'content-encoding', 'gzip'],
      ...['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
    ],
  ];
  const sequences: Record<string, { table: number; blocks: string[]; want: string[][] }> = {
    'C.3 requests without Huffman': {
      table: 4096,
      blocks: [
        '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        '8286 84be 5808 6e6f 2d63 6163 6865',
        '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
      ],
      want: requests,
    },
    'C.4 requests with Huffman': {
      table: 4096,
      blocks: [
        '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
        '8286 84be 5886 a8eb 1064 9cbf',
        '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
      ],
      want: requests,
    },
    'C.5 responses without Huffman, with evictions': {
      table: 256,
      blocks: [
        '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        '4803 3330 37c1 c0bf',
        '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
      ],
      want: responses,
    },
    'C.6 responses with Huffman, with evictions': {
      table: 256,
      blocks: [
        '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
        '4883 640e ffc1 c0bf',
        '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
      ],
      want: responses,
    },
  };
  test.each(Object.entries(sequences))('%s', (_, { table, blocks, want }) => {
    const decoder = new HpackDecoder(table, LIST_BYTES);
    expect(blocks.map((block) => decode(decoder, block))).toEqual(want);
  });
});

describe('what is refused', () => {
  const cases: Record<string, string> = {
    'index 0': '80',
    'an index beyond the tables': 'ff ff 00',
    'an integer that never ends': 'ff ff ff ff ff ff ff',
    'a string beyond its block': '400a 6375',
    'a block that ends before its value': '400a 6375 7374 6f6d 2d6b 6579',
    'a table larger than announced': '3fe2 1f',
    'a table size update after a field': '82 20',
    'Huffman padding of a whole octet': '0082 f8ff 00',
    'Huffman padding that is not the start of EOS': '0081 00 00',
    'EOS within a string': '0084 ffff fffc 00',
  };
  test.each(Object.entries(cases))('%s', (_, block) => {
    expect(() => decode(new HpackDecoder(4096, LIST_BYTES), block)).toThrow(HpackError);
  });

  test('a bomb of references keeps no more than the list may hold, and the table stays in step', () => {
    const decoder = new HpackDecoder(4096, 16_384);
    const big = Buffer.concat([hex('40 01 61 7f 81 1e'), Buffer.alloc(3_968, 0x62)]);
    decoder.decode(big);
    const { fields, tooLarge } = decoder.decode(Buffer.alloc(60_000, 0xbe));
    expect(tooLarge).toBe(true);
    expect(fields.join('').length).toBeLessThanOrEqual(16_384);
    expect(decode(decoder, 'be')[0]).toBe('a');
  });
});

describe('encoder and decoder together', () => {
  test('a field sent again costs one octet, and survives evictions and table changes', () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(4096, LIST_BYTES);
    const random = randomBytes(7);
    for (let round = 0; round < 2_000; round++) {
      const [a = 0, b = 0, c = 0, d = 0] = random(4);
      if (a < 8) encoder.limitTable(b * 32);
      const fields = [
        { name: ':method', value: 'CONNECT', indexed: true },
        { name: ':authority', value: `10.0.0.${b}:80`, indexed: true },
        { name: `x-${c % 16}`, value: 'v'.repeat(d * (c % 4)), indexed: c % 2 === 0 },
      ];
      const decoded = decoder.decode(Buffer.from(encoder.encode(fields)));
      expect(decoded.fields).toEqual(fields.flatMap(({ name, value }) => [name, value]));
    }
    const again = [{ name: 'baggage', value: 'k8s.cluster.name=Kubernetes', indexed: true }];
    encoder.limitTable(4096);
    encoder.encode(again);
    expect(encoder.encode(again)).toHaveLength(1);
  });

  test('random blocks are decoded or refused, nothing else', () => {
    const random = randomBytes(42);
    for (let round = 0; round < 5_000; round++) {
      const block = random((random(1)[0] ?? 0) % 64);
      try {
        new HpackDecoder(4096, LIST_BYTES).decode(block);
      } catch (error) {
        expect(error).toBeInstanceOf(HpackError);
      }
    }
  });

  test.each([5, 2_560, 2_565, 50_000])('%i octets of Huffman code are a text of its own', (octets) => {
    // The code of 0 is five bits, all of them 0.
    const zeros = decodeHuffman(Buffer.alloc(octets), 0, octets);
    decodeHuffman(hex('ffc7'), 0, 2);
    expect(zeros).toBe('0'.repeat((octets * 8) / 5));
  });

  test('Huffman code knows every octet', () => {
    expect(decodeHuffman(hex('ffff ffff'), 0, 4)).toBeUndefined();
    expect(decodeHuffman(hex('ff c7'), 0, 2)).toBe('\0');
    expect(decodeHuffman(hex('1c64 9d3b'), 0, 0)).toBe('');
  });
});

describe('fields as they are', () => {
  test('come out as they went in, whatever the table was and is', () => {
    const random = randomBytes(3);
    const below = (count: number) => random(2).readUInt16BE(0) % count;
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(4_096, LIST_BYTES);
    const names = [
      'accept',
      ':path',
      ':status',
      'x-request-id',
      'x-own',
      'cookie',
      'content-length',
      'server',
      'authorization',
    ];
    const values = ['', '200', '/', 'a'.repeat(40), 'b'.repeat(300), 'GET', 'text/plain', '\xe9t\xe9'];
    for (let round = 0; round < 2_000; round++) {
      if (below(50) === 0) encoder.limitTable(below(2) === 0 ? 4_096 : below(200));
      const fields = Array.from({ length: 1 + below(8) }, () => [
        names[below(names.length)] ?? '',
        below(4) === 0 ? String(below(1_000)) : (values[below(values.length)] ?? ''),
      ]).flat();
      expect(decoder.decode(Buffer.from(encoder.encodeFields(fields))).fields).toEqual(fields);
    }
  });

  test('are named in an octet the second time, unless they vary or are secret', () => {
    const encoder = new HpackEncoder();
    const lengthOf = (...field: string[]) => {
      encoder.encodeFields(field);
      return encoder.encodeFields(field).length;
    };
    expect([lengthOf('accept', 'text/plain'), lengthOf('x-own', 'y'), lengthOf(':method', 'GET')]).toEqual([
      1, 1, 1,
    ]);
    expect(lengthOf('x-request-id', '0123456789')).toBeGreaterThan(10);
    expect(encoder.encodeFields(['authorization', 'Basic x'])[0]).toBe(0x10 | 15);
    expect(lengthOf('authorization', 'Basic x')).toBeGreaterThan(7);
  });

  test.each([
    ['x-own', 'a\r\nb'],
    ['x-own', '\0'],
    ['X-Own', 'a'],
    ['x own', 'a'],
    ['', 'a'],
    ['x-own', '\u560a'],
  ])('are refused when they may not be there (%j: %j), and the next block is right', (name, value) => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(4_096, LIST_BYTES);
    const good = ['x-a', 'b', 'x-c', 'd'];
    decoder.decode(Buffer.from(encoder.encodeFields(good)));
    expect(() => encoder.encodeFields(['x-e', 'f', name, value])).toThrow('illegal-outgoing-field');
    for (let i = 0; i < 2; i++)
      expect(decoder.decode(Buffer.from(encoder.encodeFields(good))).fields).toEqual(good);
  });
});
