/** Istio's descriptions of what is no Service or no Pod, with the fields of their specification. */
import type { KubeObject, Resource } from '../resource.ts';
import type { Condition } from './core.ts';

type Labels = Readonly<Record<string, string>>;

/** A machine, as its own object or as an endpoint of a ServiceEntry. */
export interface WorkloadEntrySpec {
  /** An IP address, or a hostname to resolve. */
  readonly address?: string;
  /** By name, the port it serves that name's port on. */
  readonly ports?: Readonly<Record<string, number>>;
  readonly labels?: Labels;
  /** Default: the network of this cluster. */
  readonly network?: string;
  /** `region/zone/subzone`. */
  readonly locality?: string;
  readonly weight?: number;
  readonly serviceAccount?: string;
}

export interface WorkloadEntry extends KubeObject {
  readonly spec?: WorkloadEntrySpec;
  readonly status?: { readonly conditions?: readonly Condition[] };
}

export interface ServiceEntryPort {
  readonly number: number;
  readonly name: string;
  readonly protocol?: string;
  readonly targetPort?: number;
}

export type Resolution = 'NONE' | 'STATIC' | 'DNS' | 'DNS_ROUND_ROBIN' | 'DYNAMIC_DNS';

export interface ServiceEntrySpec {
  readonly hosts?: readonly string[];
  /** IP addresses, or blocks of them. */
  readonly addresses?: readonly string[];
  readonly ports?: readonly ServiceEntryPort[];
  readonly location?: string;
  /** Default `NONE`. */
  readonly resolution?: Resolution;
  readonly endpoints?: readonly WorkloadEntrySpec[];
  readonly workloadSelector?: { readonly labels?: Labels };
  readonly exportTo?: readonly string[];
  readonly subjectAltNames?: readonly string[];
}

/** An address that was allotted to a host. */
export interface ServiceEntryAddress {
  readonly value?: string;
  readonly host?: string;
}

export interface ServiceEntry extends KubeObject {
  readonly spec?: ServiceEntrySpec;
  readonly status?: {
    readonly conditions?: readonly Condition[];
    readonly addresses?: readonly ServiceEntryAddress[];
  };
}

const networking = { group: 'networking.istio.io', version: 'v1', namespaced: true } as const;

export const serviceEntries: Resource<ServiceEntry> = {
  ...networking,
  kind: 'ServiceEntry',
  plural: 'serviceentries',
};

export const workloadEntries: Resource<WorkloadEntry> = {
  ...networking,
  kind: 'WorkloadEntry',
  plural: 'workloadentries',
};
