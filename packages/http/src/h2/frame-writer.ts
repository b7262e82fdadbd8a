/** Frames as bytes, and the DATA header written in front of a payload where it lies. */
import { FLAG, FRAME, FRAME_HEADER_BYTES } from './protocol.ts';

/** Writes a frame header at `at`. */
export function writeFrameHeader(
  into: Buffer,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  into[at] = length >>> 16;
  into[at + 1] = length >>> 8;
  into[at + 2] = length;
  into[at + 3] = type;
  into[at + 4] = flags;
  into[at + 5] = streamId >>> 24;
  into[at + 6] = streamId >>> 16;
  into[at + 7] = streamId >>> 8;
  into[at + 8] = streamId;
}

export function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  writeFrameHeader(bytes, 0, payload.length, type, flags, streamId);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

/** A frame whose payload is 32-bit numbers: RST_STREAM, WINDOW_UPDATE, GOAWAY. */
export function numbersFrame(type: number, streamId: number, ...numbers: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + numbers.length * 4);
  writeFrameHeader(bytes, 0, numbers.length * 4, type, 0, streamId);
  let at = FRAME_HEADER_BYTES;
  for (const number of numbers) at = bytes.writeUInt32BE(number >>> 0, at);
  return bytes;
}

export function endStreamFrame(streamId: number): Buffer {
  return frame(FRAME.data, FLAG.endStream, streamId, NOTHING);
}

const NOTHING = new Uint8Array(0);
