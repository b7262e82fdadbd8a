/**
 * What a policy that is legal will not do, in the cluster as it is now: warnings, which kubectl shows. Pure.
 *
 * Each is one sentence that begins with the field. Nothing here refuses anything: the cluster may be otherwise in a
 * moment. So nothing is said where silence is likely right, as of a selector in a namespace that has no pods yet.
 */
import { type Labels, selectsLabels } from '@ambit/kube/label-selector';
import type { ObjectMeta } from '@ambit/kube/resource';
import type {
  AuthorizationPolicy,
  AuthorizationPolicySpec,
  PeerAuthentication,
  PolicyCondition,
  PolicyRule,
  RequestAuthentication,
  Source,
} from '@ambit/kube/resources/security';
import type { Telemetry } from '@ambit/kube/resources/telemetry';
import { unsupportedInRule } from '../translate/l7-attributes.ts';
import { targetProblems, targetsOf } from '../translate/policy-targets.ts';
import { USE_WAYPOINT_LABEL } from '../translate/waypoint-binding.ts';
import { shutOutWaypoints } from './shut-out-waypoints.ts';
import type { PodFacts, World } from './world.ts';

type Advice = Iterable<string>;

export const MODE_LABEL = 'istio.io/dataplane-mode';
const MODES: readonly string[] = ['ambient', 'none'];
/** Istio's, of meshes with sidecars. */
const INJECTION_LABEL = 'istio-injection';

export function* adviceOnPolicy(policy: AuthorizationPolicy, world: World): Advice {
  const { metadata, spec = {} } = policy;
  const { namespace = '' } = metadata;
  const accounts = new Accounts(world);
  for (const [i, rule] of (spec.rules ?? []).entries())
    yield* onRule(rule, namespace, `spec.rules[${i}]`, accounts);
  if (targetsOf(spec).length > 0) {
    yield* onTargets('AuthorizationPolicy', namespace, spec, world);
    const provider = spec.action === 'CUSTOM' ? spec.provider?.name : undefined;
    if (provider !== undefined && !world.hasAuthorizer(provider))
      yield `spec.provider.name: the mesh's settings have no provider "${provider}" that authorizes, so what this policy is for is refused`;
    return;
  }
  const matchLabels = spec.selector?.matchLabels;
  const selected = [...selectedPods(namespace, matchLabels, world)];
  yield* onReach(namespace, matchLabels, selected, world);
  yield* shutOutWaypoints(policy, selected, world);
  const [waypoint] = world.waypointsIn(namespace);
  const needsWaypoint = (spec.rules ?? []).some((rule) => unsupportedInRule(rule, true).length > 0);
  if (needsWaypoint && waypoint !== undefined)
    yield `spec: waypoint ${waypoint} could evaluate this policy, if targetRefs attached it to that, or to a Service behind it`;
}

export function* adviceOnPeerAuthentication(
  { metadata, spec = {} }: PeerAuthentication,
  world: World,
): Advice {
  const { namespace = '' } = metadata;
  const matchLabels = spec.selector?.matchLabels;
  const selected = [...selectedPods(namespace, matchLabels, world)];
  yield* onReach(namespace, matchLabels, selected, world);
  if (spec.mtls?.mode !== 'STRICT' || namespace === world.rootNamespace) return;
  const outside = selected.filter(({ isInMesh }) => !isInMesh).length;
  if (outside > 0 && outside < selected.length)
    yield `spec.mtls.mode: ${outside} of ${selected.length} pods are not in the mesh and take plaintext all the same`;
}

export function* adviceOnRequestAuthentication(
  { metadata, spec = {} }: RequestAuthentication,
  world: World,
): Advice {
  yield* onTargets('RequestAuthentication', metadata.namespace ?? '', spec, world);
}

export function* adviceOnTelemetry({ metadata, spec = {} }: Telemetry, world: World): Advice {
  yield* onTargets('Telemetry', metadata.namespace ?? '', spec, world);
}

/** On hosts that are Services, by their names: whether a waypoint would heed what is said of them. */
export function* adviceOnHosts(
  hosts: readonly string[],
  path: string,
  namespace: string,
  world: World,
): Advice {
  for (const host of hosts) {
    const [name = '', of = namespace, svc = 'svc'] = host.split('.');
    if (host.startsWith('*') || svc !== 'svc') continue;
    const target = world.target('Service', of, name);
    if (!target.found) yield `${path}: there is no Service ${of}/${name}`;
    else if (target.waypoint === undefined)
      yield `${path}: Service ${of}/${name} is not bound to a waypoint, so nobody heeds what is said of it`;
  }
}

function* onTargets(
  kind: string,
  namespace: string,
  spec: Pick<AuthorizationPolicySpec, 'targetRef' | 'targetRefs'>,
  world: World,
): Advice {
  const path = (i: number) => (spec.targetRef === undefined ? `spec.targetRefs[${i}]` : 'spec.targetRef');
  const context = { kind, namespace, rootNamespace: world.rootNamespace, lookUp: world.target };
  for (const [i, problem] of targetProblems(targetsOf(spec), context).entries())
    if (problem !== undefined) yield `${path(i)}: ${problem}; nobody enforces this policy there`;
}

/** On the label that takes pods into the mesh. */
export function* adviceOnMode(kind: 'Namespace' | 'Pod', { labels = {} }: ObjectMeta): Advice {
  const mode = labels[MODE_LABEL];
  if (mode !== undefined && !MODES.includes(mode))
    yield `metadata.labels[${MODE_LABEL}]: "${mode}" says nothing: ambient takes pods into the mesh, none keeps them out`;
  if (kind === 'Namespace' && labels[INJECTION_LABEL] === 'enabled' && mode !== 'ambient')
    yield `metadata.labels[${INJECTION_LABEL}]: nothing injects sidecars here; ${MODE_LABEL}=ambient takes the pods into the mesh`;
}

/** On anything that asks for a waypoint by its label. */
export function adviceOnWaypoint(kind: string, metadata: ObjectMeta, world: World): readonly string[] {
  if (metadata.labels?.[USE_WAYPOINT_LABEL] === undefined) return [];
  const bindings =
    kind === 'Namespace'
      ? (['service', 'workload'] as const).map((of) => world.binding(of, metadata.name, {}, metadata))
      : [
          world.binding(
            kind === 'WorkloadEntry' ? 'workload' : 'service',
            metadata.namespace ?? '',
            metadata,
          ),
        ];
  // A namespace's waypoint that takes either kind of traffic does what was asked.
  if (bindings.some(({ waypoint, problem }) => waypoint !== undefined && !problem)) return [];
  const problem = bindings.find((binding) => binding.problem)?.problem;
  return problem ? [`metadata.labels[${USE_WAYPOINT_LABEL}]: ${problem.message}`] : [];
}

/** Whether the policy reaches anybody at all. */
function* onReach(
  namespace: string,
  matchLabels: Labels | undefined,
  selected: readonly PodFacts[],
  world: World,
): Advice {
  const isForMesh = namespace === world.rootNamespace;
  const scope = isForMesh ? undefined : namespace;
  const selects = Object.keys(matchLabels ?? {}).length > 0;
  if (selects && selected.length === 0 && some(world.pods(scope)))
    yield `spec.selector: selects no pod of ${isForMesh ? 'the mesh' : `namespace ${namespace}`} at present`;
  if (!isForMesh && !world.isEnrolled(namespace) && !selected.some(({ isInMesh }) => isInMesh))
    yield `metadata.namespace: no pod that this policy is for is in the mesh (label istio.io/dataplane-mode=ambient on namespace ${namespace}), so nobody enforces it`;
}

function* selectedPods(namespace: string, matchLabels: Labels | undefined, world: World): Iterable<PodFacts> {
  const scope = namespace === world.rootNamespace ? undefined : namespace;
  for (const pod of world.pods(scope)) if (selectsLabels(matchLabels, pod.labels)) yield pod;
}

/**
 * Accounts that pods run as, by namespace. Gone through once for a policy: whoever may write one may name thousands of
 * accounts, and nothing else is done meanwhile.
 */
class Accounts {
  readonly world: World;
  #byNamespace: Map<string, Set<string>> | undefined;

  constructor(world: World) {
    this.world = world;
  }

  /** `undefined`: it has no pods. */
  of(namespace: string): ReadonlySet<string> | undefined {
    this.#byNamespace ??= this.#look();
    return this.#byNamespace.get(namespace);
  }

  #look(): Map<string, Set<string>> {
    const found = new Map<string, Set<string>>();
    for (const { namespace, account } of this.world.pods(undefined)) {
      const known = found.get(namespace);
      if (known) known.add(account);
      else found.set(namespace, new Set([account]));
    }
    return found;
  }
}

function* onRule(rule: PolicyRule, namespace: string, path: string, accounts: Accounts): Advice {
  for (const [i, { source = {} }] of (rule.from ?? []).entries())
    yield* onSource(source, namespace, `${path}.from[${i}].source`, accounts);
  for (const [i, condition] of (rule.when ?? []).entries())
    yield* onCondition(condition, `${path}.when[${i}]`, accounts);
}

function* onSource(source: Source, own: string, path: string, accounts: Accounts): Advice {
  yield* onIdentities(source.principals, `${path}.principals`, accounts);
  yield* onIdentities(source.notPrincipals, `${path}.notPrincipals`, accounts);
  yield* onNamespaces(source.namespaces, `${path}.namespaces`, accounts.world);
  yield* onNamespaces(source.notNamespaces, `${path}.notNamespaces`, accounts.world);
  for (const name of ['serviceAccounts', 'notServiceAccounts'] as const) {
    for (const account of source[name] ?? []) {
      const [first = '', second] = account.split('/');
      const [namespace, of] = second === undefined ? [own, first] : [first, second];
      yield* onAccount(namespace, of, `${path}.${name}`, accounts);
    }
  }
}

function* onCondition({ key, values, notValues }: PolicyCondition, path: string, accounts: Accounts): Advice {
  for (const [name, given] of Object.entries({ values, notValues })) {
    if (key === 'source.principal') yield* onIdentities(given, `${path}.${name}`, accounts);
    if (key === 'source.namespace') yield* onNamespaces(given, `${path}.${name}`, accounts.world);
  }
}

const IDENTITY = /^([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/;

function* onIdentities(values: readonly string[] | undefined, path: string, accounts: Accounts): Advice {
  const { trustDomain: own } = accounts.world;
  for (const value of values ?? []) {
    if (value.includes('*') || value.startsWith('spiffe://')) continue;
    const [, trustDomain, namespace = '', account = ''] = IDENTITY.exec(value) ?? [];
    if (trustDomain === undefined)
      yield `${path}: "${value}" is not of the form TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT, so it matches nobody`;
    else if (trustDomain !== own)
      yield `${path}: "${value}" is of another trust domain than this mesh's, which is ${own}`;
    else yield* onAccount(namespace, account, path, accounts);
  }
}

/** A namespace without pods may get those of that account yet. */
function* onAccount(namespace: string, account: string, path: string, accounts: Accounts): Advice {
  yield* onNamespaces([namespace], path, accounts.world);
  if (namespace.includes('*') || account.includes('*')) return;
  if (accounts.of(namespace)?.has(account) === false)
    yield `${path}: no pod of namespace "${namespace}" runs as service account "${account}" at present`;
}

function* onNamespaces(values: readonly string[] | undefined, path: string, world: World): Advice {
  for (const value of values ?? [])
    if (!value.includes('*') && !world.hasNamespace(value)) yield `${path}: there is no namespace "${value}"`;
}

function some(values: Iterable<unknown>): boolean {
  for (const _ of values) return true;
  return false;
}
