/** What is wrong with a ServiceEntry; pure. */
import { parseCidr } from '@ambit/core/ip';
import type { ServiceEntry, ServiceEntrySpec } from '@ambit/kube/resources/networking';
import { schemaProblems } from '../schema/openapi.ts';
import { serviceEntrySpec } from '../schema/service-entry.ts';
import { checkedEntry, healthCheckProblem } from '../translate/destinations/health-check.ts';
import { isProtocol } from '../translate/app-protocol.ts';
import { isWildcard, resolutionOf, wantsAllottedAddresses } from '../translate/service-entry.ts';
import type { MeshSettings } from '../translate/settings.ts';
import { hostnameProblem, isDnsLabel, wildcardHostnameProblem } from './hostname.ts';
import { Collector, type Findings } from './problems.ts';
import { validateMachine } from './workload-entry.ts';

const USE_WAYPOINT_LABEL = 'istio.io/use-waypoint';

export type ServiceEntryValidation = Pick<MeshSettings, 'ipAutoallocate'>;

export function validateServiceEntry(entry: ServiceEntry, options: ServiceEntryValidation): Findings {
  const found = new Collector();
  const { spec = {} } = entry;
  found.errors.push(...schemaProblems(serviceEntrySpec, spec, 'spec'));
  // What has not the right form cannot be looked at any closer.
  if (found.errors.length > 0) return found;
  validateHosts(spec, found);
  validateAddresses(spec, found);
  validatePorts(entry, spec, options, found);
  validateWorkloadSelector(spec, found);
  validateEndpoints(spec, found);
  validateResolution(entry, spec, found);
  const check = healthCheckProblem(checkedEntry(entry));
  if (check !== undefined) found.warn('metadata.annotations', check);
  if ((spec.exportTo ?? []).length > 0)
    found.warn('spec.exportTo', 'has no effect in ambient mode; see meshConfig.serviceEntryVisibility');
  return found;
}

function validateHosts(spec: ServiceEntrySpec, into: Collector): void {
  for (const [i, host] of (spec.hosts ?? []).entries()) {
    const problem = wildcardHostnameProblem(host);
    if (problem !== undefined) into.error(`spec.hosts[${i}]`, problem);
    else if (isWildcard(host) && !host.startsWith('*.') && resolutionOf(spec) !== 'DYNAMIC_DNS')
      into.warn(`spec.hosts[${i}]`, 'a label that only begins with * matches nothing');
  }
}

function validateAddresses({ addresses = [], ...spec }: ServiceEntrySpec, into: Collector): void {
  const resolution = resolutionOf(spec);
  for (const [i, address] of addresses.entries()) {
    if (!parseCidr(address))
      into.error(`spec.addresses[${i}]`, `"${address}" is not an IP address or a CIDR block`);
    else if (address.includes('/') && resolution !== 'NONE' && resolution !== 'STATIC')
      into.error(`spec.addresses[${i}]`, 'a CIDR block needs resolution NONE or STATIC');
  }
}

function validatePorts(
  { metadata }: ServiceEntry,
  spec: ServiceEntrySpec,
  options: ServiceEntryValidation,
  into: Collector,
): void {
  const names = new Set<string>();
  const numbers = new Set<number>();
  const { labels = {} } = metadata;
  const addressed = (spec.addresses ?? []).length > 0 || wantsAllottedAddresses({ labels, spec }, options);
  for (const [i, { name, number, protocol = '' }] of (spec.ports ?? []).entries()) {
    const path = `spec.ports[${i}]`;
    if (!isDnsLabel(name)) into.error(`${path}.name`, `"${name}" is not a name of a port`);
    if (names.has(name)) into.error(`${path}.name`, `"${name}" is there already`);
    if (numbers.has(number)) into.error(`${path}.number`, `${number} is there already`);
    names.add(name);
    numbers.add(number);
    if (protocol !== '' && !isProtocol(protocol))
      into.error(`${path}.protocol`, `"${protocol}" is not a protocol`);
    if (!addressed && (protocol === '' || protocol.toUpperCase() === 'TCP'))
      into.warn(path, 'without addresses nothing tells its connections from others');
  }
}

function validateWorkloadSelector({ workloadSelector, endpoints }: ServiceEntrySpec, into: Collector): void {
  if (!workloadSelector) return;
  if (endpoints) into.error('spec', 'only one of workloadSelector and endpoints may be set');
  const labels = Object.entries(workloadSelector.labels ?? {});
  if (labels.length === 0) into.warn('spec.workloadSelector', 'has no labels, so it selects nothing');
  for (const [key, value] of labels) {
    if (key === '') into.error('spec.workloadSelector.labels', 'a key is empty');
    if (key.includes('*') || value.includes('*'))
      into.error(`spec.workloadSelector.labels.${key}`, 'wildcards are not supported');
  }
}

function validateEndpoints(spec: ServiceEntrySpec, into: Collector): void {
  const servicePorts = new Set((spec.ports ?? []).map(({ name }) => name));
  const hostnames = resolutionOf(spec) !== 'STATIC';
  for (const [i, endpoint] of (spec.endpoints ?? []).entries()) {
    const path = `spec.endpoints[${i}]`;
    if (hostnames && (endpoint.address ?? '') === '') into.error(`${path}.address`, 'is required');
    else validateMachine(endpoint, { path, hostnames, servicePorts }, into);
  }
}

function validateResolution(entry: ServiceEntry, spec: ServiceEntrySpec, into: Collector): void {
  const { endpoints = [], workloadSelector } = spec;
  switch (resolutionOf(spec)) {
    case 'NONE':
      if (endpoints.length > 0) into.error('spec.endpoints', 'must be empty with resolution NONE');
      if (workloadSelector) into.warn('spec.workloadSelector', 'has no effect with resolution NONE');
      break;
    case 'DNS_ROUND_ROBIN':
      if (endpoints.length > 1)
        into.error('spec.endpoints', 'must be at most one with resolution DNS_ROUND_ROBIN');
      validateResolved(spec, into);
      break;
    case 'DNS':
      validateResolved(spec, into);
      break;
    case 'DYNAMIC_DNS':
      validateDynamic(entry, spec, into);
      break;
    default:
  }
  validateSeveralHosts(spec, into);
}

/** Without endpoints the hosts themselves are resolved. */
function validateResolved({ hosts = [], endpoints = [] }: ServiceEntrySpec, into: Collector): void {
  if (endpoints.length > 0) return;
  for (const [i, host] of hosts.entries())
    if (hostnameProblem(host) !== undefined)
      into.error(
        `spec.hosts[${i}]`,
        `"${host}" cannot be resolved: without endpoints it must be a full name`,
      );
}

const DYNAMIC_PROTOCOLS: ReadonlySet<string> = new Set(['HTTP', 'HTTP2', 'GRPC', 'TLS']);

function validateDynamic({ metadata }: ServiceEntry, spec: ServiceEntrySpec, into: Collector): void {
  const { hosts = [], addresses = [], endpoints = [], ports = [], location } = spec;
  for (const [i, host] of hosts.entries())
    if (!isWildcard(host)) into.error(`spec.hosts[${i}]`, 'must begin with * with resolution DYNAMIC_DNS');
  if (addresses.length > 0) into.error('spec.addresses', 'must be empty with resolution DYNAMIC_DNS');
  if (endpoints.length > 0) into.error('spec.endpoints', 'must be empty with resolution DYNAMIC_DNS');
  for (const [i, { protocol = '' }] of ports.entries())
    if (!DYNAMIC_PROTOCOLS.has(protocol.toUpperCase()))
      into.error(`spec.ports[${i}].protocol`, 'must be HTTP, HTTP2, GRPC or TLS with resolution DYNAMIC_DNS');
  const waypoint = metadata.labels?.[USE_WAYPOINT_LABEL] ?? '';
  if (location === 'MESH_INTERNAL' && waypoint !== '' && waypoint.toLowerCase() !== 'none')
    into.error('spec.location', 'must be MESH_EXTERNAL with resolution DYNAMIC_DNS and a waypoint');
}

const TOLD_APART = /^(HTTP|HTTP2|HTTP_PROXY|GRPC|GRPC-WEB|HTTPS|TLS)$/;

/** Nothing in a plain connection says which of several hosts it is for. */
function validateSeveralHosts({ hosts = [], ports = [], ...spec }: ServiceEntrySpec, into: Collector): void {
  if (hosts.length <= 1 || resolutionOf(spec) === 'NONE') return;
  for (const [i, { protocol = '' }] of ports.entries())
    if (!TOLD_APART.test(protocol.toUpperCase()))
      into.error(`spec.ports[${i}].protocol`, 'must be HTTP or TLS, as there are several hosts');
}
