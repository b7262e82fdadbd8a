import { connect, type ConnectionOptions } from 'node:tls';
import { Duplex } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { readClientHello } from './client-hello.ts';

/** What Node's own client says first. */
function helloOf(options: ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        resolve(chunk);
        done();
      },
    });
    const tls = connect({ socket, ...options });
    tls.on('error', () => undefined);
  });
}

/** The same message in records of at most `bytes` octets. */
function inRecords(hello: Buffer, bytes: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += bytes) {
    const part = message.subarray(at, at + bytes);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 0xff]), part);
  }
  return Buffer.concat(records);
}

describe('a ClientHello', () => {
  test('tells its server name, in lower case, and its protocols', async () => {
    const hello = await helloOf({ servername: 'Shop.Example.com', ALPNProtocols: ['h2', 'http/1.1'] });
    expect(readClientHello(hello)).toEqual({
      kind: 'hello',
      serverName: 'shop.example.com',
      alpn: ['h2', 'http/1.1'],
    });
  });

  test('may have no name', async () => {
    expect(readClientHello(await helloOf({}))).toEqual({ kind: 'hello', serverName: undefined, alpn: [] });
  });

  test('is incomplete as long as a byte is missing, and never something else', async () => {
    const hello = await helloOf({ servername: 'a.test' });
    for (let length = 0; length < hello.length; length++)
      expect(readClientHello(hello.subarray(0, length)).kind).toBe('incomplete');
  });

  test('is looked at a few times, however small the pieces in which it comes', async () => {
    for (const recordBytes of [1, 7, 16_000]) {
      const hello = inRecords(await helloOf({ servername: 'a.test' }), recordBytes);
      let looks = 0;
      for (let length = 1; length < hello.length; ) {
        const read = readClientHello(hello.subarray(0, length));
        if (read.kind !== 'incomplete') throw new Error(read.kind);
        expect(read.atLeast).toBeGreaterThan(length);
        expect(read.atLeast).toBeLessThanOrEqual(hello.length);
        length = read.atLeast;
        looks += 1;
      }
      expect(looks).toBeLessThan(100);
    }
  });

  test('is read from many records, and with something behind it', async () => {
    const hello = await helloOf({ servername: 'a.test' });
    const want = { kind: 'hello', serverName: 'a.test', alpn: [] };
    expect(readClientHello(inRecords(hello, 1))).toEqual(want);
    expect(readClientHello(inRecords(hello, 100))).toEqual(want);
    expect(readClientHello(Buffer.concat([hello, Buffer.from([22, 3, 3, 0, 1, 0])]))).toEqual(want);
  });

  const others: Record<string, number[]> = {
    'another record': [23, 3, 3, 0, 1, 0],
    'another version': [22, 2, 0, 0, 1, 1],
    'another message': [22, 3, 1, 0, 4, 2, 0, 0, 0],
    'an empty record': [22, 3, 1, 0, 0],
    'a record longer than may be': [22, 3, 1, 0x40, 1, 1],
    'a message that ends within a field': [22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3],
    text: [...Buffer.from('GET / HTTP/1.1\r\n')],
  };
  test.each(Object.entries(others))('is not %s', (_, bytes) =>
    expect(readClientHello(Uint8Array.from(bytes))).toEqual({ kind: 'none' }),
  );

  test('whatever bytes come: an answer, no error, and no name that is none', async () => {
    const seed = await helloOf({ servername: 'shop.example.com', ALPNProtocols: ['h2'] });
    let state = 1;
    const random = (below: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % below;
    };
    for (let round = 0; round < 20_000; round++) {
      const bytes = Buffer.from(seed.subarray(0, 1 + random(seed.length)));
      for (let changes = random(4); changes > 0; changes--) bytes[random(bytes.length)] = random(256);
      const read = readClientHello(bytes);
      expect(['incomplete', 'hello', 'none']).toContain(read.kind);
      if (read.kind === 'hello' && read.serverName !== undefined)
        expect(read.serverName).toMatch(/^[a-z0-9_.-]{1,255}$/);
    }
  });
});
