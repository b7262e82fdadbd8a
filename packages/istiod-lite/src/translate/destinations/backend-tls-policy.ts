/**
 * BackendTLSPolicies as waypoints are sent them: how TLS is begun with the endpoints of a service. Pure.
 *
 * What cannot be had as its author wants it refuses what goes to the service: never is anything sent that is not
 * encrypted, or to whom nobody knows.
 */
import type {
  DestinationPolicy,
  Origin,
  TrafficPolicy,
  UpstreamTls,
  WaypointFields,
} from '@ambit/api/waypoint';
import { isKubeObject } from '@ambit/kube/resource';
import type {
  BackendTlsPolicy,
  BackendTlsTarget,
  BackendTlsValidation,
  SubjectAltName,
} from '@ambit/kube/resources/backend-tls';
import type { Authorities } from '../../certificates.ts';
import { backendTlsTargets, backendTlsValidation } from '../../schema/backend-tls.ts';
import { schemaProblems } from '../../schema/openapi.ts';
import type { CatalogService, ServiceKind } from '../routes/catalog.ts';
import { serviceKindOf } from '../routes/parents.ts';
import { originOf } from '../routes/translated.ts';

const KIND = 'BackendTLSPolicy';

export interface Finding {
  readonly isTrue: boolean;
  readonly reason: string;
  readonly message: string;
}

export interface ReadBackendTls {
  /** `namespace/name`. */
  readonly key: string;
  readonly namespace: string;
  readonly origin: WaypointFields<Origin>;
  readonly generation: number | undefined;
  readonly targets: readonly BackendTlsTarget[];
  readonly tls: WaypointFields<UpstreamTls>;
  /** Whether it is such as can be done; of its targets nothing is said. */
  readonly accepted: Finding;
  readonly resolvedRefs: Finding;
}

/** `namespace/name` of the ConfigMaps that certificates are taken from. */
export function certificateMapsOf(policy: BackendTlsPolicy): readonly string[] {
  const { caCertificateRefs = [] } = validationOf(policy).validation;
  return caCertificateRefs
    .filter(isConfigMap)
    .map(({ name }) => `${policy.metadata.namespace ?? ''}/${name}`);
}

/** What does not fit its schema is as if it were not there, and is told. */
function validationOf({ spec }: BackendTlsPolicy): {
  readonly validation: BackendTlsValidation;
  readonly wrong: string | undefined;
} {
  const given = spec?.validation ?? {};
  const [wrong] = schemaProblems(backendTlsValidation, given, 'spec.validation');
  return { validation: wrong === undefined ? given : {}, wrong };
}

/**
 * @param authoritiesIn - The ConfigMap by `namespace/name`; `undefined`: it is not known yet.
 * @returns `undefined` until all ConfigMaps are known, and if nobody can tell what it is for.
 */
export function readBackendTls(
  policy: BackendTlsPolicy,
  authoritiesIn: (key: string) => Authorities | undefined,
): ReadBackendTls | undefined {
  const maps = new Map(certificateMapsOf(policy).map((key) => [key, authoritiesIn(key)] as const));
  if ([...maps.values()].includes(undefined)) return undefined;
  const { metadata } = policy;
  const targets = policy.spec?.targetRefs ?? [];
  if (!isKubeObject(policy) || schemaProblems(backendTlsTargets, targets, 'spec.targetRefs').length > 0)
    return undefined;
  const namespace = metadata.namespace ?? '';
  const { validation, wrong } = validationOf(policy);
  const { pem, problems } = authoritiesOf(validation, (name) => maps.get(`${namespace}/${name}`));
  const { hostname = '', subjectAltNames = [] } = validation;
  const unreadable =
    invalidity(validation, wrong) ?? (pem === '' ? noAuthority(validation, problems) : undefined);
  return {
    key: `${namespace}/${metadata.name}`,
    namespace,
    origin: originOf(KIND, policy),
    generation: metadata.generation,
    targets,
    tls: {
      sni: hostname,
      subjectAltNames: subjectAltNames.flatMap((name) => altName(name) ?? []),
      caCertificates: pem,
      unreadable: unreadable?.message ?? '',
    },
    accepted: unreadable ?? { isTrue: true, reason: 'Accepted', message: 'Configuration is valid' },
    resolvedRefs: problems[0]
      ? { ...problems[0], message: problems.map(({ message }) => message).join('; ') }
      : { isTrue: true, reason: 'ResolvedRefs', message: 'Configuration is valid' },
  };
}

function invalidity(validation: BackendTlsValidation, wrong: string | undefined): Finding | undefined {
  const { hostname = '', subjectAltNames = [], wellKnownCACertificates: known = '' } = validation;
  const refused = (message: string): Finding => ({ isTrue: false, reason: 'Invalid', message });
  if (wrong !== undefined) return refused(wrong);
  if (hostname === '') return refused('validation.hostname is missing');
  if (known !== '' && known !== 'System')
    return refused(`validation.wellKnownCACertificates: "${known}" is not known, System is`);
  if (subjectAltNames.some((name) => altName(name) === undefined))
    return refused('validation.subjectAltNames: only those of type Hostname and URI are known');
  return undefined;
}

function altName({ type, hostname = '', uri = '' }: SubjectAltName): string | undefined {
  const name = type === 'Hostname' ? hostname : type === 'URI' ? uri : '';
  return name === '' ? undefined : name;
}

/** The system's roots count where that is said, and never because there is nothing else. */
function noAuthority(
  { wellKnownCACertificates: known = '', caCertificateRefs: references = [] }: BackendTlsValidation,
  problems: readonly Finding[],
): Finding | undefined {
  if (references.length === 0 && known !== '') return undefined;
  const message = problems.map((problem) => problem.message).join('; ') || 'there are none';
  return {
    isTrue: false,
    reason: 'NoValidCACertificate',
    message: `certificates of authorities: ${message}`,
  };
}

/** Of all certificates of a policy: a waypoint takes no longer text. The system's roots are some 220,000. */
const MAX_PEM_CHARS = 262_144;

function authoritiesOf(
  { caCertificateRefs: references = [] }: BackendTlsValidation,
  authoritiesIn: (name: string) => Authorities | undefined,
): { readonly pem: string; readonly problems: readonly Finding[] } {
  let pem = '';
  const problems: Finding[] = [];
  for (const reference of references) {
    const { kind, name } = reference;
    const refused = (reason: string, message: string) => problems.push({ isTrue: false, reason, message });
    if (!isConfigMap(reference)) {
      refused('InvalidKind', `${kind} "${name}": only ConfigMaps can be referred to`);
      continue;
    }
    const found = authoritiesIn(name) ?? { problem: 'was not found' };
    const problem = 'problem' in found ? found.problem : lengthProblem(pem + found.pem);
    if (problem !== undefined) refused('InvalidCACertificateRef', `ConfigMap "${name}" ${problem}`);
    else if ('pem' in found) pem += found.pem;
  }
  return { pem, problems };
}

function lengthProblem(pem: string): string | undefined {
  return pem.length > MAX_PEM_CHARS
    ? `makes it more than ${MAX_PEM_CHARS} characters of certificates`
    : undefined;
}

function isConfigMap({ group, kind }: { readonly group: string; readonly kind: string }): boolean {
  return kind === 'ConfigMap' && (group === '' || group === 'core');
}

/** What a policy's target is known by; `undefined` for what has no endpoints. */
export function targetKey(namespace: string, { group, kind, name }: BackendTlsTarget): string | undefined {
  const serviceKind = serviceKindOf(group, kind);
  return serviceKind && `${serviceKind}/${namespace}/${name}`;
}

export interface TargetName {
  readonly kind: ServiceKind;
  readonly namespace: string;
  readonly name: string;
}

export function targetNamed(key: string): TargetName {
  const [kind = '', namespace = '', name = ''] = key.split('/');
  return { kind: kind === 'ServiceEntry' ? kind : 'Service', namespace, name };
}

/** Whose word counts for a target, of the policies that have it: the oldest's, then the first by name. */
export function governing(
  policies: readonly ReadBackendTls[],
  key: string,
  sectionName: string,
): ReadBackendTls | undefined {
  return policies
    .filter(({ namespace, targets }) =>
      targets.some(
        (target) => targetKey(namespace, target) === key && (target.sectionName ?? '') === sectionName,
      ),
    )
    .toSorted(byAge)[0];
}

function byAge(a: ReadBackendTls, b: ReadBackendTls): number {
  const [one = 0n, other = 0n] = [a.origin.createdMs, b.origin.createdMs];
  if (one !== other) return one < other ? -1 : 1;
  return a.key < b.key ? -1 : 1;
}

/** What all policies of a target come to, for one of its hostnames; `undefined` if it is nothing. */
export function backendTlsDestination(
  policies: readonly ReadBackendTls[],
  key: string,
  { namespace, hostname, ports }: CatalogService,
): WaypointFields<DestinationPolicy> | undefined {
  const ofAll = governing(policies, key, '');
  const ofPorts = ports.flatMap(({ number, name }) => {
    const policy = name === '' ? undefined : governing(policies, key, name);
    return policy ? [{ port: number, policy }] : [];
  });
  const origin = ofAll?.origin ?? ofPorts[0]?.policy.origin;
  if (!origin) return undefined;
  return {
    origin,
    hostname,
    serviceNamespace: namespace,
    ...(ofAll && { policy: withTls(ofAll) }),
    ports: ofPorts.map(({ port, policy }) => ({ port, policy: withTls(policy) })),
  };
}

function withTls({ tls }: ReadBackendTls): WaypointFields<TrafficPolicy> {
  return { tls };
}
