/** As much of a delta response as a load client needs: protobuf fields are skipped by their length, not decoded. */

export interface DeltaHead {
  readonly typeUrl: string;
  readonly nonce: string;
  /** Of the resources in it, and of those removed. */
  readonly names: readonly string[];
}

const VARINT = 0;
const LENGTH_DELIMITED = 2;

/** Fields of `envoy.service.discovery.v3.DeltaDiscoveryResponse`, and `name` of its `Resource`. */
const RESOURCES = 2;
const TYPE_URL = 4;
const NONCE = 5;
const REMOVED = 6;
const RESOURCE_NAME = 3;

export function readDelta(message: Buffer): DeltaHead {
  let typeUrl = '';
  let nonce = '';
  const names: string[] = [];
  for (const { field, from, to } of fieldsOf(message, 0, message.length)) {
    if (field === RESOURCES) {
      for (const inner of fieldsOf(message, from, to))
        if (inner.field === RESOURCE_NAME) names.push(message.toString('utf8', inner.from, inner.to));
    } else if (field === TYPE_URL) typeUrl = message.toString('utf8', from, to);
    else if (field === NONCE) nonce = message.toString('utf8', from, to);
    else if (field === REMOVED) names.push(message.toString('utf8', from, to));
  }
  return { typeUrl, nonce, names };
}

function* fieldsOf(
  bytes: Buffer,
  from: number,
  to: number,
): Generator<{ readonly field: number; readonly from: number; readonly to: number }> {
  let at = from;
  const varint = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at] ?? 0;
      at += 1;
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  };
  while (at < to) {
    const tag = varint();
    if (tag % 8 === VARINT) varint();
    else if (tag % 8 === LENGTH_DELIMITED) {
      const length = varint();
      yield { field: Math.floor(tag / 8), from: at, to: at + length };
      at += length;
    } else throw new Error(`wire type ${tag % 8} in a delta response`);
  }
}
