/** SPDY/3.1 frames, as far as port-forward uses them. Pure. */
import { SPDY_FRAME_BYTES } from '../limits.ts';

export type Frame =
  | { readonly kind: 'data'; readonly stream: number; readonly fin: boolean; readonly data: Buffer }
  | { readonly kind: 'open'; readonly stream: number; readonly fin: boolean; readonly headers: Buffer }
  | { readonly kind: 'reset'; readonly stream: number }
  | { readonly kind: 'ping'; readonly id: number }
  | { readonly kind: 'goaway' }
  /** Nothing that concerns us, but headers keep the compression in step. */
  | { readonly kind: 'other'; readonly headers: Buffer | undefined };

const FIN = 1;
const TYPES = { open: 1, reply: 2, reset: 3, settings: 4, ping: 6, goaway: 7, headers: 8, window: 9 };

/** Cuts a byte stream into frames; throws a plain error on what is no SPDY/3.1. */
export class FrameReader {
  #pending: Buffer = Buffer.alloc(0);

  *push(chunk: Buffer): Generator<Frame> {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= 8) {
      const length = this.#pending.readUIntBE(5, 3);
      if (length > SPDY_FRAME_BYTES)
        throw new Error(`SPDY frame of ${length} bytes: the limit is ${SPDY_FRAME_BYTES}`);
      if (this.#pending.length < 8 + length) return;
      const frame = this.#pending.subarray(0, 8 + length);
      this.#pending = this.#pending.subarray(8 + length);
      yield parse(frame);
    }
  }
}

function parse(frame: Buffer): Frame {
  const first = frame.readUInt32BE(0);
  const fin = ((frame[4] ?? 0) & FIN) !== 0;
  const body = frame.subarray(8);
  if (first < 0x8000_0000) return { kind: 'data', stream: first, fin, data: body };
  const version = (first >>> 16) & 0x7fff;
  if (version !== 3) throw new Error(`SPDY version ${version}: want 3`);
  const type = first & 0xffff;
  const number = (): number => {
    if (body.length < 4) throw new Error(`SPDY frame of type ${type} is too short`);
    return body.readUInt32BE(0) & 0x7fff_ffff;
  };
  switch (type) {
    case TYPES.open:
      if (body.length < 10) throw new Error('SPDY SYN_STREAM is too short');
      return { kind: 'open', stream: number(), fin, headers: body.subarray(10) };
    case TYPES.reset:
      return { kind: 'reset', stream: number() };
    case TYPES.ping:
      return { kind: 'ping', id: body.length < 4 ? 0 : body.readUInt32BE(0) };
    case TYPES.goaway:
      return { kind: 'goaway' };
    case TYPES.reply:
    case TYPES.headers:
      return { kind: 'other', headers: body.subarray(4) };
    default:
      return { kind: 'other', headers: undefined };
  }
}

function control(type: number, flags: number, body: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE((0x8003_0000 + type) >>> 0, 0);
  head.writeUInt8(flags, 4);
  head.writeUIntBE(body.length, 5, 3);
  return Buffer.concat([head, body]);
}

const word = (value: number): Buffer => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value >>> 0);
  return buffer;
};

export function dataFrame(stream: number, data: Buffer, fin: boolean): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(stream, 0);
  head.writeUInt8(fin ? FIN : 0, 4);
  head.writeUIntBE(data.length, 5, 3);
  return Buffer.concat([head, data]);
}

export const replyFrame = (stream: number, headers: Buffer): Buffer =>
  control(TYPES.reply, 0, Buffer.concat([word(stream), headers]));

export const resetFrame = (stream: number, status: number): Buffer =>
  control(TYPES.reset, 0, Buffer.concat([word(stream), word(status)]));

export const pingFrame = (id: number): Buffer => control(TYPES.ping, 0, word(id));
