/** What is wrong with a DestinationRule; pure. */
import { isCookiePath, isToken } from '@ambit/core/http-text';
import type {
  ClientTlsSettings,
  DestinationRule,
  LocalityLbSetting,
  TrafficPolicySettings,
} from '@ambit/kube/resources/networking';
import { destinationRuleSpec } from '../schema/destination-rule.ts';
import { schemaProblems } from '../schema/openapi.ts';
import { MAX_LOCALITY_PARTS } from '../limits.ts';
import { goDurationMs } from '../translate/go-duration.ts';
import { wildcardHostnameProblem } from './hostname.ts';
import { Collector, type Findings, warnOfNoEffect } from './problems.ts';
import { secretName } from './secret-name.ts';

export function validateDestinationRule({ spec = {} }: DestinationRule): Findings {
  const found = new Collector();
  found.errors.push(...schemaProblems(destinationRuleSpec, spec, 'spec'));
  if (found.errors.length > 0) return found;
  warnOfNoEffect(destinationRuleSpec, spec, found);
  const { host = '', trafficPolicy, subsets = [] } = spec;
  const problem = host === '*' ? undefined : wildcardHostnameProblem(host);
  if (problem !== undefined) found.error('spec.host', problem);
  validatePolicy(trafficPolicy, 'spec.trafficPolicy', found);
  const names = new Set<string>();
  for (const [i, subset] of subsets.entries()) {
    const path = `spec.subsets[${i}]`;
    if (!/^[-a-zA-Z0-9_.]+$/.test(subset.name)) found.error(`${path}.name`, `"${subset.name}" is not a name`);
    if (names.has(subset.name)) found.error(`${path}.name`, `"${subset.name}" is there already`);
    names.add(subset.name);
    if (Object.keys(subset.labels ?? {}).length === 0)
      found.warn(path, 'without labels it has all endpoints in it');
    validatePolicy(subset.trafficPolicy, `${path}.trafficPolicy`, found);
  }
  if (spec.workloadSelector !== undefined)
    found.warn('spec.workloadSelector', 'no waypoint heeds a rule for certain clients');
  return found;
}

type Durations = Readonly<Record<string, string | undefined>>;

function validatePolicy(policy: TrafficPolicySettings | undefined, path: string, into: Collector): void {
  if (!policy) return;
  if (policy.tunnel !== undefined) into.error(`${path}.tunnel`, 'is not supported');
  validateSettings(policy, path, into);
  const ports = new Set<number>();
  for (const [i, settings] of (policy.portLevelSettings ?? []).entries()) {
    const at = `${path}.portLevelSettings[${i}]`;
    const number = settings.port?.number;
    if (number === undefined) into.error(`${at}.port.number`, 'is required');
    else if (ports.has(number)) into.error(`${at}.port.number`, `${number} is there already`);
    else ports.add(number);
    validateSettings(settings, at, into);
  }
}

function validateSettings(settings: TrafficPolicySettings, path: string, into: Collector): void {
  validateLoadBalancer(settings.loadBalancer, `${path}.loadBalancer`, into);
  const { tcp = {}, http = {} } = settings.connectionPool ?? {};
  const { connectTimeout, maxConnectionDuration } = tcp;
  validateDurations({ connectTimeout, maxConnectionDuration }, `${path}.connectionPool.tcp`, into);
  // 0s turns these off.
  validateDurations({ idleTimeout: tcp.idleTimeout }, `${path}.connectionPool.tcp`, into, true);
  validateDurations({ idleTimeout: http.idleTimeout }, `${path}.connectionPool.http`, into, true);
  const { interval, baseEjectionTime } = settings.outlierDetection ?? {};
  validateDurations({ interval, baseEjectionTime }, `${path}.outlierDetection`, into);
  if (settings.tls) validateTls(settings.tls, `${path}.tls`, into);
}

/** Whose own certificate, key and authorities Istio takes from a Secret where it is given one. */
const FILES = ['clientCertificate', 'privateKey', 'caCertificates', 'caCrl'] as const;

function validateTls(tls: ClientTlsSettings, path: string, into: Collector): void {
  const { mode, credentialName = '', insecureSkipVerify = false, subjectAltNames = [] } = tls;
  if (mode !== 'SIMPLE' && mode !== 'MUTUAL') return;
  const files = FILES.filter((name) => (tls[name] ?? '') !== '');
  const hasAuthorities = files.includes('caCertificates') || (mode === 'SIMPLE' && credentialName !== '');
  if (insecureSkipVerify && (hasAuthorities || subjectAltNames.length > 0))
    into.error(path, 'insecureSkipVerify leaves nothing for authorities and subjectAltNames to do');
  if (credentialName !== '') {
    if (files.length > 0) into.error(path, `only one of credentialName and ${files.join(', ')} may be set`);
    if (secretName(credentialName) === undefined)
      into.error(`${path}.credentialName`, `"${credentialName}" is no name of a Secret`);
    return;
  }
  for (const name of files) {
    const file = tls[name] ?? '';
    if (!file.startsWith('/')) into.error(`${path}.${name}`, `"${file}" is no absolute path`);
  }
  if (mode === 'SIMPLE') return;
  for (const name of ['clientCertificate', 'privateKey'] as const)
    if (!files.includes(name))
      into.error(`${path}.${name}`, 'is required with mode MUTUAL, or credentialName is');
}

const HASH_KEYS = ['httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'] as const;

function validateLoadBalancer(
  balancer: TrafficPolicySettings['loadBalancer'],
  path: string,
  into: Collector,
): void {
  if (!balancer) return;
  const { simple, consistentHash: hash, warmup, warmupDurationSecs, localityLbSetting: locality } = balancer;
  if (simple !== undefined && hash) into.error(path, 'only one of simple and consistentHash may be set');
  if (simple === 'PASSTHROUGH') into.warn(`${path}.simple`, 'PASSTHROUGH has no effect at a waypoint');
  validateDurations({ warmupDurationSecs, 'warmup.duration': warmup?.duration }, path, into);
  if (hash) {
    const at = `${path}.consistentHash`;
    const keys = HASH_KEYS.filter((name) => hash[name] !== undefined);
    if (keys.length !== 1) into.error(at, `must have exactly one of ${HASH_KEYS.join(', ')}`);
    if (hash.ringHash && hash.maglev) into.error(at, 'only one of ringHash and maglev may be set');
    const { httpHeaderName: header, httpCookie: cookie } = hash;
    if (header !== undefined && !isToken(header)) into.error(`${at}.httpHeaderName`, 'is not a header');
    if (cookie && !isToken(cookie.name)) into.error(`${at}.httpCookie.name`, 'is not the name of a cookie');
    if (cookie && !isCookiePath(cookie.path ?? ''))
      into.error(`${at}.httpCookie.path`, 'is not a path for cookies');
    validateDurations({ 'httpCookie.ttl': hash.httpCookie?.ttl }, at, into, true);
    const size = hash.maglev?.tableSize ?? 0;
    if (size > MAX_TABLE_SIZE || (size > 0 && !isPrime(size)))
      into.error(`${at}.maglev.tableSize`, `must be a prime up to ${MAX_TABLE_SIZE}`);
  }
  into.errors.push(...localityProblems(locality, `${path}.localityLbSetting`));
}

/** Of a rule's, or the mesh's. */
export function localityProblems(locality: LocalityLbSetting | undefined, path: string): readonly string[] {
  const parts = ['distribute', 'failover', 'failoverPriority'] as const;
  const given = parts.filter((part) => (locality?.[part] ?? []).length > 0);
  return [
    ...(given.length > 1 && !locality?.failoverPriority
      ? [`${path}: only one of distribute and failover may be set`]
      : []),
    ...parts
      .filter((part) => (locality?.[part] ?? []).length > MAX_LOCALITY_PARTS)
      .map((part) => `${path}.${part}: more than ${MAX_LOCALITY_PARTS}`),
  ];
}

/** Entries of a table: as many as a waypoint makes. */
const MAX_TABLE_SIZE = 1_048_576;

function isPrime(number: number): boolean {
  if (number < 2) return false;
  for (let i = 2; i * i <= number; i++) if (number % i === 0) return false;
  return true;
}

function validateDurations(durations: Durations, path: string, into: Collector, zero = false): void {
  for (const [name, given] of Object.entries(durations)) {
    if (given === undefined) continue;
    const ms = goDurationMs(given);
    if (ms === undefined || (ms === 0 && !zero))
      into.error(`${path}.${name}`, `"${given}" is not a duration such as 5s`);
  }
}
