/** DNS messages for tests, made in other words than the code under test. */

export interface QueryOptions {
  readonly name: string;
  readonly type: number;
  readonly id?: number;
  readonly recursionDesired?: boolean;
  readonly edns?: {
    readonly payloadBytes: number;
    readonly dnssecOk?: boolean;
    readonly version?: number;
    readonly options?: Uint8Array;
  };
}

const u16 = (value: number) => [value >> 8, value & 255];

export function wireName(name: string): number[] {
  const labels = name === '' ? [] : name.split('.');
  return [...labels.flatMap((label) => [label.length, ...Buffer.from(label, 'latin1')]), 0];
}

export function buildQuery({ name, type, id = 1, recursionDesired = true, edns }: QueryOptions): Uint8Array {
  const options = edns?.options ?? new Uint8Array();
  const opt = edns
    ? [
        0,
        0,
        41,
        ...u16(edns.payloadBytes),
        0,
        edns.version ?? 0,
        edns.dnssecOk ? 0x80 : 0,
        0,
        ...u16(options.length),
        ...options,
      ]
    : [];
  const header = [...u16(id), recursionDesired ? 1 : 0, 0, 0, 1, 0, 0, 0, 0, 0, edns ? 1 : 0];
  return Uint8Array.of(...header, ...wireName(name), ...u16(type), 0, 1, ...opt);
}
