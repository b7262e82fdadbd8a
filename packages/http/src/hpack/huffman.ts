/**
 * HPACK's Huffman code (RFC 7541, appendix B), decoding only: our own encoder sends plain literals.
 *
 * The code is canonical, so the lengths alone define it. Decoding takes four bits a step through a table built once
 * per thread. Padding must be the start of EOS and shorter than an octet, and EOS itself must not appear (§5.2).
 */

/** Bits of the code of symbol 0 to 256, each as one base-36 digit. */
const LENGTHS =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca' +
  'd67777777777777777777777878djde6f56565666577666567655677777fbeds' +
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq' +
  'u';

const EOS = 256;
const STEPS = 16;

/** Of the shortest code. */
const SHORTEST_BITS = 5;

/** In a step: the next state; then, above, what it means. */
const STATE_MASK = 0x1ff;
const EMITS = 0x200;
const FAILS = 0x400;
const SYMBOL_SHIFT = 16;

interface Tables {
  /** `steps[state * 16 + nibble]`. */
  readonly steps: Int32Array;
  /** Whether the text may end in this state. */
  readonly mayEnd: Uint8Array;
}

const { steps, mayEnd } = build();

/** Where a text lands; longer ones get memory of their own. */
const landing = Buffer.allocUnsafeSlow(4_096);

/**
 * The decoded octets as Latin-1 text, or `undefined` when they are not a valid code.
 *
 * They land in memory first: a text put together octet by octet is a tree of its parts, 32 bytes each, and whoever looks
 * at it makes another copy.
 */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number): string | undefined {
  const most = Math.floor(((to - from) * 8) / SHORTEST_BITS);
  const into = most <= landing.length ? landing : Buffer.allocUnsafeSlow(most);
  let length = 0;
  let state = 0;
  for (let i = from; i < to; i++) {
    const octet = bytes[i] ?? 0;
    let step = steps[state * STEPS + (octet >> 4)] ?? FAILS;
    if (step & FAILS) return undefined;
    if (step & EMITS) into[length++] = step >> SYMBOL_SHIFT;
    state = step & STATE_MASK;
    step = steps[state * STEPS + (octet & 15)] ?? FAILS;
    if (step & FAILS) return undefined;
    if (step & EMITS) into[length++] = step >> SYMBOL_SHIFT;
    state = step & STATE_MASK;
  }
  return mayEnd[state] === 1 ? into.toString('latin1', 0, length) : undefined;
}

/** States are the inner nodes of the code's tree, the root being 0. */
function build(): Tables {
  const children: [number, number][] = [[-1, -1]];
  const depth: number[] = [0];
  const onesOnly: boolean[] = [true];
  const leafOf = (symbol: number) => -2 - symbol;

  for (const { symbol, code, length } of codes()) {
    let node = 0;
    for (let bit = length - 1; bit >= 0; bit--) {
      const side = (code >> bit) & 1;
      const pair = children[node] ?? [-1, -1];
      if (bit === 0) {
        pair[side] = leafOf(symbol);
      } else if (pair[side] === -1) {
        pair[side] = children.length;
        children.push([-1, -1]);
        depth.push((depth[node] ?? 0) + 1);
        onesOnly.push((onesOnly[node] ?? false) && side === 1);
      }
      node = pair[side] ?? 0;
    }
  }

  const table = new Int32Array(children.length * STEPS);
  for (let state = 0; state < children.length; state++) {
    for (let nibble = 0; nibble < STEPS; nibble++) {
      let node = state;
      let entry = 0;
      for (let bit = 3; bit >= 0; bit--) {
        const next: number = children[node]?.[((nibble >> bit) & 1) as 0 | 1] ?? -1;
        if (next > 0) {
          node = next;
          continue;
        }
        const symbol = -2 - next;
        if (symbol === EOS || symbol < 0) entry |= FAILS;
        else entry |= EMITS | (symbol << SYMBOL_SHIFT);
        node = 0;
      }
      table[state * STEPS + nibble] = entry | node;
    }
  }
  const ends = Uint8Array.from(depth, (bits, state) => (bits < 8 && onesOnly[state] === true ? 1 : 0));
  return { steps: table, mayEnd: ends };
}

/** Codes in canonical order: by length, then by symbol. */
function codes(): readonly { symbol: number; code: number; length: number }[] {
  const lengths = Array.from(LENGTHS, (digit) => Number.parseInt(digit, 36));
  const order = lengths
    .map((length, symbol) => ({ symbol, length }))
    .sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  let code = 0;
  let previous = order[0]?.length ?? 0;
  return order.map(({ symbol, length }) => {
    code <<= length - previous;
    previous = length;
    return { symbol, code: code++, length };
  });
}
