/**
 * What crossed a link, told from captured frames: which TCP ports carried data, and whether words that only the
 * application says were readable. Pure: pcap bytes in, a summary out.
 *
 * Format: libpcap's classic file (24-byte header, 16-byte record headers), Ethernet frames, IPv4 and IPv6 without
 * extension headers.
 */

export interface WireSummary {
  /** TCP segments that carried data. */
  readonly dataSegments: number;
  /** Data segments with 15008 as one of their ports. */
  readonly hboneSegments: number;
  /** Of those, how many began with a TLS record header. */
  readonly tlsRecords: number;
  /** Data segments on any other port that carried one of the words. */
  readonly readableSegments: number;
  /** The first readable line, for people. */
  readonly example: string | undefined;
  /** The server-side ports that carried data, most first. */
  readonly ports: readonly number[];
}

const HBONE_PORT = 15_008;
const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;

interface Segment {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Buffer;
}

/** @param words - Text that only the application would send. */
export function summarize(pcap: Buffer, words: readonly string[]): WireSummary {
  const segments = segmentsOf(pcap);
  const hbone = segments.filter((segment) => usesPort(segment, HBONE_PORT));
  const readable = segments.filter(({ payload }) => words.some((word) => payload.includes(word)));
  const counts = new Map<number, number>();
  for (const { sourcePort, destinationPort } of segments) {
    const server = Math.min(sourcePort, destinationPort);
    counts.set(server, (counts.get(server) ?? 0) + 1);
  }
  return {
    dataSegments: segments.length,
    hboneSegments: hbone.length,
    tlsRecords: hbone.filter(({ payload }) => isTlsRecord(payload)).length,
    readableSegments: readable.length,
    example: readable[0] && firstLineWith(readable[0].payload.toString('latin1'), words),
    ports: [...counts].sort((a, b) => b[1] - a[1]).map(([port]) => port),
  };
}

function usesPort(segment: Segment, port: number): boolean {
  return segment.sourcePort === port || segment.destinationPort === port;
}

/** Content type 20–23, version 3.1 to 3.4 (RFC 8446 §5.1). */
function isTlsRecord(payload: Buffer): boolean {
  const [type = 0, major = 0, minor = 0] = payload;
  return type >= 20 && type <= 23 && major === 3 && minor <= 4;
}

function firstLineWith(text: string, words: readonly string[]): string {
  const line = text.split('\n').find((candidate) => words.some((word) => candidate.includes(word))) ?? '';
  return line
    .trim()
    .replace(/[^\x20-\x7e]/g, '.')
    .slice(0, 80);
}

function segmentsOf(pcap: Buffer): Segment[] {
  const littleEndian = pcap.length >= 4 && [0xa1b2c3d4, 0xa1b23c4d].includes(pcap.readUInt32LE(0));
  const read = (at: number) => (littleEndian ? pcap.readUInt32LE(at) : pcap.readUInt32BE(at));
  const segments: Segment[] = [];
  let at = FILE_HEADER_BYTES;
  while (at + RECORD_HEADER_BYTES <= pcap.length) {
    const length = read(at + 8);
    const frame = pcap.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + length);
    at += RECORD_HEADER_BYTES + length;
    const segment = segmentOf(frame);
    if (segment && segment.payload.length > 0) segments.push(segment);
  }
  return segments;
}

function segmentOf(frame: Buffer): Segment | undefined {
  if (frame.length < 54) return undefined;
  const etherType = frame.readUInt16BE(12);
  const ip = frame.subarray(14);
  if (etherType === 0x0800 && ip[9] === 6) {
    const headerBytes = ((ip[0] ?? 0) & 0x0f) * 4;
    return tcpOf(ip.subarray(headerBytes, ip.readUInt16BE(2)));
  }
  if (etherType === 0x86dd && ip[6] === 6) return tcpOf(ip.subarray(40, 40 + ip.readUInt16BE(4)));
  return undefined;
}

function tcpOf(tcp: Buffer): Segment | undefined {
  if (tcp.length < 20) return undefined;
  const headerBytes = ((tcp[12] ?? 0) >> 4) * 4;
  return {
    sourcePort: tcp.readUInt16BE(0),
    destinationPort: tcp.readUInt16BE(2),
    payload: tcp.subarray(headerBytes),
  };
}
