/** What is wrong with a WorkloadEntry, or with an endpoint of a ServiceEntry; pure. */
import { parseIp } from '@ambit/core/ip';
import type { WorkloadEntry, WorkloadEntrySpec } from '@ambit/kube/resources/networking';
import { schemaProblems } from '../schema/openapi.ts';
import { workloadEntrySpec } from '../schema/workload-entry.ts';
import { hostnameProblem, isDnsLabel } from './hostname.ts';
import { Collector, type Findings } from './problems.ts';

const UNIX_PREFIX = 'unix://';
const LABEL_KEY =
  /^(?:[a-zA-Z0-9](?:[-a-zA-Z0-9.]{0,251}[a-zA-Z0-9])?\/)?(?:[A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$/;
const LABEL_VALUE = /^(?:(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

export function validateWorkloadEntry({ spec = {} }: WorkloadEntry): Findings {
  const found = new Collector();
  found.errors.push(...schemaProblems(workloadEntrySpec, spec, 'spec'));
  if (found.errors.length > 0) return found;
  validateMachine(spec, { path: 'spec', hostnames: true }, found);
  return found;
}

export interface MachineRules {
  readonly path: string;
  /** Whether the address may be a name to resolve. */
  readonly hostnames: boolean;
  /** Names of the ports of the ServiceEntry that it is an endpoint of. */
  readonly servicePorts?: ReadonlySet<string>;
}

/** @param spec - Fits its schema. */
export function validateMachine(spec: WorkloadEntrySpec, rules: MachineRules, into: Collector): void {
  const { path, servicePorts } = rules;
  validateAddress(spec, rules, into);
  for (const name of Object.keys(spec.ports ?? {})) {
    if (!isDnsLabel(name)) into.error(`${path}.ports`, `"${name}" is not a name of a port`);
    else if (servicePorts && !servicePorts.has(name))
      into.error(`${path}.ports.${name}`, 'is not a port of the ServiceEntry');
  }
  for (const [key, value] of Object.entries(spec.labels ?? {})) {
    if (!LABEL_KEY.test(key)) into.error(`${path}.labels`, `"${key}" is not the name of a label`);
    else if (!LABEL_VALUE.test(value))
      into.error(`${path}.labels.${key}`, `"${value}" is not the value of a label`);
  }
}

function validateAddress(
  { address = '', network = '', ports = {} }: WorkloadEntrySpec,
  { path, hostnames, servicePorts }: MachineRules,
  into: Collector,
): void {
  const at = `${path}.address`;
  if (address === '') {
    if (network === '') into.error(at, 'is required');
    else into.warn(at, `is empty: nothing is sent to it before network ${network} has a gateway`);
    return;
  }
  if (address.startsWith(UNIX_PREFIX)) {
    validateUnixAddress(address.slice(UNIX_PREFIX.length), at, into);
    if (Object.keys(ports).length > 0) into.error(`${path}.ports`, 'a Unix socket has no ports');
    if (servicePorts && servicePorts.size !== 1)
      into.error(at, 'a Unix socket needs a ServiceEntry with one port');
    return;
  }
  if (parseIp(address) !== undefined) return;
  if (!hostnames) into.error(at, `"${address}" is not an IP address`);
  else if (hostnameProblem(address) !== undefined)
    into.error(at, `"${address}" is neither an IP address nor a DNS name`);
}

function validateUnixAddress(path: string, at: string, into: Collector): void {
  if (!/^[/@]/.test(path)) into.error(at, 'a Unix socket is an absolute path, or begins with @');
  else if (path.endsWith('/')) into.error(at, 'a Unix socket is not a folder');
  else into.warn(at, 'ztunnel does not connect to Unix sockets: the endpoint has no effect');
}
