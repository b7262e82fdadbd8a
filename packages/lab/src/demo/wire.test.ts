import { describe, expect, test } from '@jest/globals';
import { summarize } from './wire.ts';

function frame(options: {
  from: number;
  to: number;
  payload: string | Buffer;
  ipv6?: boolean;
  protocol?: number;
}): Buffer {
  const payload = Buffer.from(options.payload);
  const tcp = Buffer.alloc(20);
  tcp.writeUInt16BE(options.from, 0);
  tcp.writeUInt16BE(options.to, 2);
  tcp[12] = 5 << 4;
  const ip = Buffer.alloc(options.ipv6 ? 40 : 20);
  if (options.ipv6) {
    ip.writeUInt16BE(tcp.length + payload.length, 4);
    ip[6] = options.protocol ?? 6;
  } else {
    ip[0] = 0x45;
    ip.writeUInt16BE(40 + payload.length, 2);
    ip[9] = options.protocol ?? 6;
  }
  const ethernet = Buffer.alloc(14);
  ethernet.writeUInt16BE(options.ipv6 ? 0x86dd : 0x0800, 12);
  return Buffer.concat([ethernet, ip, tcp, payload]);
}

function pcap(...frames: Buffer[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  const records = frames.flatMap((one) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(one.length, 8);
    return [record, one];
  });
  return Buffer.concat([header, ...records]);
}

const WORDS = ['GET /items'];
const tls = Buffer.from([23, 3, 3, 0, 5, 1, 2, 3, 4, 5]);

describe('summarize', () => {
  test('sees the words of an application, and where they stood', () => {
    const seen = summarize(
      pcap(frame({ from: 40_000, to: 80, payload: 'GET /items HTTP/1.1\r\nhost: api\r\n' })),
      WORDS,
    );
    expect(seen).toEqual({
      dataSegments: 1,
      hboneSegments: 0,
      tlsRecords: 0,
      readableSegments: 1,
      example: 'GET /items HTTP/1.1',
      ports: [80],
    });
  });

  test('sees TLS to 15008 over both families', () => {
    const both = pcap(
      frame({ from: 40_000, to: 15_008, payload: tls }),
      frame({ from: 15_008, to: 40_000, payload: tls, ipv6: true }),
    );
    expect(summarize(both, WORDS)).toMatchObject({
      dataSegments: 2,
      hboneSegments: 2,
      tlsRecords: 2,
      readableSegments: 0,
    });
  });

  test('clear text on 15008 is not taken for TLS', () => {
    const seen = summarize(pcap(frame({ from: 1, to: 15_008, payload: 'GET /items' })), WORDS);
    expect(seen).toMatchObject({ hboneSegments: 1, tlsRecords: 0, readableSegments: 1 });
  });

  test('padding, pure acknowledgements, other protocols and a cut-off capture carry nothing', () => {
    const padded = Buffer.concat([frame({ from: 1, to: 80, payload: '' }), Buffer.from('GET /items')]);
    const udp = frame({ from: 1, to: 53, payload: 'GET /items', protocol: 17 });
    const whole = pcap(padded, udp, frame({ from: 1, to: 80, payload: 'x' }));
    expect(summarize(whole.subarray(0, whole.length - 30), WORDS).dataSegments).toBe(0);
    expect(summarize(Buffer.alloc(0), WORDS).dataSegments).toBe(0);
  });
});
