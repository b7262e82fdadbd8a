/**
 * Names, addresses and places of a local cluster, from its name and its slot. Pure.
 *
 * A slot is a set of networks that no other cluster on this machine has; there are eight.
 */
import { join } from 'node:path';

export const SLOTS = 8;
/** Nodes are numbered from 1; routes to each are there from the start. */
export const MAX_NODES = 16;
/** This machine's own address in the network of a cluster's nodes. */
const OUTSIDE_HOST = 254;
const FIRST_NODE_HOST = 11;

/** One address family of a cluster. */
export interface FamilySettings {
  readonly family: 4 | 6;
  /** Where the API server listens, and the gateway of the nodes. */
  readonly gateway: string;
  readonly nodePrefixLength: number;
  readonly outside: string;
  readonly pods: string;
  readonly services: string;
  /** The Service `kubernetes`. */
  readonly apiService: string;
  readonly dnsService: string;
  readonly node: (number: number) => string;
  readonly nodePods: (number: number) => string;
}

export interface LocalSettings {
  readonly name: string;
  readonly slot: number;
  /** The first is the primary one. */
  readonly families: readonly [FamilySettings, ...FamilySettings[]];
  readonly apiServer: string;
  /** This machine's end of the link to the cluster. */
  readonly link: string;
  /** Everything that a running cluster keeps in files. */
  readonly folder: string;
  readonly kubeconfig: string;
}

export const NAME_PATTERN = /^[a-z0-9][a-z0-9-]{0,30}$/;

export function localSettings(
  name: string,
  slot: number,
  ipFamily: 'ipv4' | 'dual',
  stateFolder: string,
): LocalSettings {
  const v4 = family4(slot);
  const folder = join(stateFolder, name);
  return {
    name,
    slot,
    families: ipFamily === 'dual' ? [v4, family6(slot)] : [v4],
    apiServer: `https://${v4.gateway}:6443`,
    link: `ambit${slot}`,
    folder,
    kubeconfig: join(folder, 'admin.conf'),
  };
}

function family4(slot: number): FamilySettings {
  const net = `10.89.${slot}`;
  return {
    family: 4,
    gateway: `${net}.1`,
    nodePrefixLength: 24,
    outside: `${net}.${OUTSIDE_HOST}`,
    pods: `10.${244 + slot}.0.0/16`,
    services: `10.${96 + slot}.0.0/16`,
    apiService: `10.${96 + slot}.0.1`,
    dnsService: `10.${96 + slot}.0.10`,
    node: (number) => `${net}.${FIRST_NODE_HOST - 1 + number}`,
    nodePods: (number) => `10.${244 + slot}.${number}.0/24`,
  };
}

function family6(slot: number): FamilySettings {
  const net = `fd00:10:89:${slot}:`;
  const hex = (number: number) => number.toString(16);
  return {
    family: 6,
    gateway: `${net}:1`,
    nodePrefixLength: 64,
    outside: `${net}:${hex(OUTSIDE_HOST)}`,
    pods: `fd00:10:${244 + slot}::/56`,
    services: `fd00:10:${96 + slot}::/112`,
    apiService: `fd00:10:${96 + slot}::1`,
    dnsService: `fd00:10:${96 + slot}::a`,
    node: (number) => `${net}:${hex(FIRST_NODE_HOST - 1 + number)}`,
    nodePods: (number) => `fd00:10:${244 + slot}:${hex(number)}::/64`,
  };
}

export function nodeName(number: number): string {
  return `node${number}`;
}

/** @returns `undefined` for what is no name of a node here. */
export function nodeNumber(name: string): number | undefined {
  const number = Number(/^node(\d+)$/.exec(name)?.[1]);
  return number >= 1 && number <= MAX_NODES ? number : undefined;
}

/** What the folder of a cluster holds. */
export function places(settings: LocalSettings) {
  const in_ = (...parts: readonly string[]) => join(settings.folder, ...parts);
  return {
    /** Says what was made: `record.ts`. */
    record: in_('cluster.json'),
    logs: in_('log'),
    pki: (file: string) => in_('pki', file),
    kubeconfig: (user: string) => in_(`${user}.conf`),
    etcd: in_('etcd'),
    archives: in_('archives'),
    node: (number: number, ...parts: readonly string[]) => in_('nodes', nodeName(number), ...parts),
  };
}
