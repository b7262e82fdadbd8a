/**
 * Tables of nftables as the kernel itself tells and takes them: read in one namespace, made in another, in one transaction;
 * and elements that are added to sets.
 *
 * What rules mean is nft's business: nothing here reads an expression. But `nft` is a program, and to start one and wait for
 * its end takes far longer, on a machine that is busy, than all that it asks the kernel to do.
 */
import { memory } from './libc.ts';
import { MAX_COPIED_RULES } from './limits.ts';
import {
  attributes,
  dumpAllNetlink,
  encode,
  NETLINK_NETFILTER,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  orderInBatches,
  padded,
} from './netlink.ts';

const SUBSYSTEM = 10;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const NLM_F_APPEND = 0x800;
const NFPROTO_INET = 1;
const NFGENMSG_BYTES = 4;
const NESTED = 0x8000;

const NEW = { table: 0, chain: 3, rule: 6, element: 12 } as const;
const GET = { table: 1, chain: 4, rule: 7 } as const;
const GETSET = 10;

/** What makes an object again, by number; the rest is the kernel's own (handles, counts of use). */
const KEPT = {
  /** Name, flags. */
  table: [1, 2],
  /** Table, name, hook, policy, type. */
  chain: [1, 3, 4, 5, 7],
  /** Table, chain, expressions, what nft notes for itself. */
  rule: [1, 2, 4, 7],
} as const;
/** Of those, what holds further ones. */
const NESTS: ReadonlySet<string> = new Set(['chain 4', 'rule 4']);
/** Where the name of its table stands, in each kind and in a set: the first of all. */
const NAME_OF_TABLE = 1;

type Kind = keyof typeof KEPT;

/** Opaque: messages of one transaction, in order. */
export interface NfTables {
  readonly messages: readonly {
    readonly type: number;
    readonly flags: number;
    readonly payload: Uint8Array;
  }[];
}

/**
 * Tables of family `inet` with their chains and rules; counters as they stand.
 *
 * @returns `undefined` if one of them is not there, or has sets.
 * @throws {@link LinuxError} EPERM without CAP_NET_ADMIN.
 */
export function readInetTables(netnsFd: number, names: readonly string[]): NfTables | undefined {
  const own = (kind: number) =>
    dump(netnsFd, kind).filter((payload) => names.includes(textIn(payload, NAME_OF_TABLE)));
  const tables = own(GET.table);
  if (tables.length !== names.length || own(GETSET).length > 0) return undefined;
  const made = (kind: Kind, flags: number, from: readonly DataView[]) =>
    from.map((payload) => ({ type: NEW[kind], flags, payload: kept(kind, payload) }));
  return {
    messages: [
      ...made('table', NLM_F_CREATE | NLM_F_EXCL, tables),
      ...made('chain', NLM_F_CREATE | NLM_F_EXCL, own(GET.chain)),
      ...made('rule', NLM_F_CREATE | NLM_F_APPEND, own(GET.rule)),
    ],
  };
}

/**
 * Makes them, all or none.
 *
 * @throws {@link LinuxError} EEXIST if a table of that name is there; whatever else the kernel has against it.
 */
export function makeTables(netnsFd: number, { messages: all }: NfTables): void {
  transact(netnsFd, all, 'making tables of nftables');
}

export interface NfElement {
  /** Name of the one that gets it. */
  readonly set: string;
  readonly key: Uint8Array;
  /** As nft shows it. */
  readonly comment: string;
}

/**
 * Adds to sets of a table of family `inet`, all or none; one that is there stays as it is.
 *
 * @throws {@link LinuxError} ENOENT if one of the sets is not there.
 */
export function addToInetSets(netnsFd: number, table: string, elements: readonly NfElement[]): void {
  const additions = elements.map((element) => ({
    type: NEW.element,
    flags: NLM_F_CREATE,
    payload: addition(table, element),
  }));
  const sets = new Set(elements.map(({ set }) => set));
  transact(netnsFd, additions, `adding to sets of table ${table}: ${[...sets].join(', ')}`);
}

function addition(table: string, { set, key, comment }: NfElement): Uint8Array {
  const told = zeroEnded(comment);
  const element = attribute(
    1 | NESTED,
    attribute(1 | NESTED, attribute(1, key)),
    attribute(6, Uint8Array.of(0, told.length), told),
  );
  return Buffer.concat([
    header(),
    attribute(1, zeroEnded(table)),
    attribute(2, zeroEnded(set)),
    attribute(3 | NESTED, element),
  ]);
}

function transact(netnsFd: number, changes: NfTables['messages'], purpose: string): void {
  const mark = (type: number) =>
    encode({ type, flags: 0, payload: Uint8Array.of(0, 0, SUBSYSTEM >> 8, SUBSYSTEM) });
  const text = Buffer.concat([
    mark(BATCH_BEGIN),
    ...changes.map(({ type, flags, payload }) =>
      padded(encode({ type: (SUBSYSTEM << 8) | type, flags: flags | NLM_F_ACK, payload })),
    ),
    mark(BATCH_END),
  ]);
  const asked = { netnsFd, protocol: NETLINK_NETFILTER, purpose };
  orderInBatches(asked, [{ text, orders: changes.length }], () => false);
}

function dump(netnsFd: number, kind: number): readonly DataView[] {
  const request = {
    netnsFd,
    protocol: NETLINK_NETFILTER,
    type: (SUBSYSTEM << 8) | kind,
    payload: header(),
    purpose: 'reading tables of nftables',
  };
  return dumpAllNetlink(request, MAX_COPIED_RULES, (answer) => {
    const own = Uint8Array.from(new Uint8Array(answer.buffer, answer.byteOffset, answer.byteLength));
    return new DataView(own.buffer);
  });
}

function kept(kind: Kind, payload: DataView): Uint8Array {
  const wanted: readonly number[] = KEPT[kind];
  const parts = [...attributes(payload, NFGENMSG_BYTES)]
    .filter(({ type }) => wanted.includes(type))
    .map(({ type, value }) =>
      attribute(
        NESTS.has(`${kind} ${type}`) ? type | NESTED : type,
        new Uint8Array(value.buffer, value.byteOffset, value.byteLength),
      ),
    );
  return Buffer.concat([header(), ...parts]);
}

/** `struct nfgenmsg`: family, version, and a number that only batches have. */
function header(): Uint8Array {
  return Uint8Array.of(NFPROTO_INET, 0, 0, 0);
}

function attribute(type: number, ...values: readonly Uint8Array[]): Uint8Array {
  const length = NFGENMSG_BYTES + values.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const { bytes, view } = memory((length + 3) & ~3);
  view.setUint16(0, length, true);
  view.setUint16(2, type, true);
  let at = 4;
  for (const value of values) {
    bytes.set(value, at);
    at += value.byteLength;
  }
  return bytes;
}

function zeroEnded(text: string): Uint8Array {
  return Buffer.from(`${text}\0`, 'utf8');
}

function textIn(payload: DataView, wanted: number): string {
  const value = [...attributes(payload, NFGENMSG_BYTES)].find(({ type }) => type === wanted)?.value;
  if (!value) return '';
  return Buffer.from(value.buffer, value.byteOffset, Math.max(0, value.byteLength - 1)).toString('utf8');
}
