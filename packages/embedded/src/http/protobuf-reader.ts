/** The wire format of protobuf, read-only and bounded. Pure. What is cut off or cannot be is a 400. */
import { badRequest } from '../errors.ts';

export interface WireField {
  readonly number: number;
  /** A varint or fixed number, or the bytes of anything longer. */
  readonly value: bigint | Buffer;
}

const broken = () => badRequest('the body of the request is not the protobuf message that it says it is');

export function* wireFields(data: Buffer): Generator<WireField> {
  let position = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = data[position++];
      if (byte === undefined) throw broken();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw broken();
  };
  const take = (length: number): Buffer => {
    if (length > data.length - position) throw broken();
    position += length;
    return data.subarray(position - length, position);
  };
  while (position < data.length) {
    const key = varint();
    const number = Number(key >> 3n);
    switch (Number(key & 7n)) {
      case 0:
        yield { number, value: varint() };
        break;
      case 1:
        yield { number, value: take(8) };
        break;
      case 2: {
        const length = varint();
        if (length > BigInt(data.length)) throw broken();
        yield { number, value: take(Number(length)) };
        break;
      }
      case 5:
        yield { number, value: take(4) };
        break;
      default:
        throw broken();
    }
  }
}

export function bytesOf(value: bigint | Buffer): Buffer {
  if (typeof value === 'bigint') throw broken();
  return value;
}

/** A whole number that may be negative. */
export function integerOf(value: bigint | Buffer): number {
  if (typeof value !== 'bigint') throw broken();
  return Number(BigInt.asIntN(64, value));
}
