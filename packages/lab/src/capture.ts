/** What crosses a node's link to the switch, as a pcap file (libpcap's classic format). */
import type { Clock } from '@ambit/core/clock';
import { formatIp } from '@ambit/core/ip';
import { PacketSocket } from '@ambit/linux/packets';
import type { LabNetwork, LabNode } from './network/nodes.ts';

/** More is not kept. */
const MAX_CAPTURE_BYTES = 64 * 1024 * 1024;
const MAX_FRAME_BYTES = 262_144;
const ETHERNET = 1;
const ETHERNET_HEADER_BYTES = 14;

export interface CaptureOptions {
  readonly network: LabNetwork;
  readonly node: LabNode;
  /** Only what goes to or from one of these; empty for everything. */
  readonly hosts: readonly string[];
  readonly ms: number;
  readonly clock: Clock;
}

/** @throws {@link LinuxError} without the privilege to see frames. */
export async function capture(
  { network, node, hosts, ms, clock }: CaptureOptions,
  signal: AbortSignal,
): Promise<Buffer> {
  const wanted = new Set(hosts);
  const records: Uint8Array[] = [fileHeader()];
  let size = 0;
  using packets = new PacketSocket({
    netnsFd: network.switchNetns.fd,
    interfaceName: node.switchPort,
  });
  const reading = (async () => {
    for (;;) {
      const frame = await packets.receive();
      if (!frame) return;
      if (wanted.size > 0 && !hostsOf(frame).some((ip) => wanted.has(ip))) continue;
      size += frame.length;
      if (size <= MAX_CAPTURE_BYTES) records.push(recordHeader(frame.length, clock.now()), frame);
    }
  })();
  try {
    await Promise.race([clock.sleep(ms, signal), reading]);
  } finally {
    packets.close();
    await reading;
  }
  return Buffer.concat(records);
}

/** Source and destination of an IP packet in an Ethernet frame; none for anything else. */
export function hostsOf(frame: Uint8Array): readonly string[] {
  const etherType = ((frame[12] ?? 0) << 8) | (frame[13] ?? 0);
  const at = (from: number, length: number) => {
    const start = ETHERNET_HEADER_BYTES + from;
    return formatIp(frame.subarray(start, start + length)) ?? '';
  };
  if (etherType === 0x0800) return [at(12, 4), at(16, 4)];
  return etherType === 0x86dd ? [at(8, 16), at(24, 16)] : [];
}

function fileHeader(): Uint8Array {
  const view = new DataView(new ArrayBuffer(24));
  view.setUint32(0, 0xa1b2c3d4, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, MAX_FRAME_BYTES, true);
  view.setUint32(20, ETHERNET, true);
  return new Uint8Array(view.buffer);
}

function recordHeader(length: number, nowMs: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  view.setUint32(0, Math.floor(nowMs / 1_000), true);
  view.setUint32(4, (nowMs % 1_000) * 1_000, true);
  view.setUint32(8, length, true);
  view.setUint32(12, length, true);
  return new Uint8Array(view.buffer);
}
