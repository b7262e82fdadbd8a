/**
 * Waypoints that a policy of ztunnels keeps from the pods behind them, so that every request by them fails. Pure.
 *
 * The ztunnel of a pod behind a waypoint meets the waypoint's identity in the place of the client's: that of the pods
 * which the waypoint has, since anybody may run one, under any account. In doubt nothing is said: of a rule that names no
 * identity, as it is meant for everybody; nor, where rules ask for more than identities (ports, addresses), of an ALLOW rule
 * that may hold, or of a DENY rule that may not.
 */
import { type Labels, selectsLabels } from '@ambit/kube/label-selector';
import type {
  AuthorizationPolicy,
  PolicyCondition,
  PolicyRule,
  Source,
} from '@ambit/kube/resources/security';
import { stringMatchOf } from '@ambit/model/decode/authorization';
import { textMatches } from '@ambit/model/decide/match';
import { MAX_LABEL_SETS_COMPARED } from '../limits.ts';
import { unsupportedInRule } from '../translate/l7-attributes.ts';
import { serviceAccountMatches, stringMatches } from '../translate/matchers.ts';
import { targetsOf } from '../translate/policy-targets.ts';
import { type Waypoint, waypointKey } from '../translate/waypoint.ts';
import { DRY_RUN_ANNOTATION, PEER_IDENTITY_FIELDS } from './authorization-policy.ts';
import type { PodFacts, World } from './world.ts';

/** @param selected - Pods that the policy is for. */
export function* shutOutWaypoints(
  policy: AuthorizationPolicy,
  selected: Iterable<PodFacts>,
  world: World,
): Iterable<string> {
  const { rules = [] } = policy.spec ?? {};
  const action = actionAtZtunnels(policy);
  if (action === undefined || !rules.some(namesIdentities)) return;
  const before = waypointsBefore(distinctByLabels(selected), world);
  if (action === 'DENY') {
    for (const { who } of before)
      if (denies(policy, who))
        yield `spec.rules: ${named(who)} is denied, so what comes by it gets 503: use targetRefs, or except this principal`;
    return;
  }
  const shutOut = before.filter(({ who }) => !admits(policy, who, world));
  if (shutOut.length === 0 || world.autoAllowWaypoints) return;
  const others = allowPoliciesBeside(policy, shutOut, world);
  for (const { who, pods } of shutOut) {
    const admitting = others.filter((other) => admits(other, who, world));
    if (pods.every((pod) => admitting.some((other) => isFor(other, pod, world)))) continue;
    yield `spec.rules: ${named(who)} is not let in, so what comes by it gets 503: use targetRefs, or add a rule with this principal alone`;
  }
}

/** Without the waypoint's namespace, which the principal has: names may be long, and a warning is cut. */
function named({ waypoint, principal }: Identity): string {
  return `waypoint ${waypoint} (principal ${principal})`;
}

/** `undefined`: it makes no ztunnel let anybody in or refuse anybody. */
function actionAtZtunnels({ metadata, spec = {} }: AuthorizationPolicy): 'ALLOW' | 'DENY' | undefined {
  if (metadata.annotations?.[DRY_RUN_ANNOTATION] === 'true' || targetsOf(spec).length > 0) return undefined;
  const { action = 'ALLOW' } = spec;
  return action === 'ALLOW' || action === 'DENY' ? action : undefined;
}

/** Other ALLOW policies that may be for these pods. There may be thousands in the mesh. */
function allowPoliciesBeside(
  policy: AuthorizationPolicy,
  before: readonly Before[],
  world: World,
): readonly AuthorizationPolicy[] {
  const namespaces = new Set(before.flatMap(({ pods }) => pods.map(({ namespace }) => namespace)));
  namespaces.add(world.rootNamespace);
  return [...world.authorizationPolicies()].filter(
    (other) =>
      namespaces.has(other.metadata.namespace ?? '') &&
      !isSame(other, policy) &&
      actionAtZtunnels(other) === 'ALLOW',
  );
}

function isSame({ metadata: a }: AuthorizationPolicy, { metadata: b }: AuthorizationPolicy): boolean {
  return a.namespace === b.namespace && a.name === b.name;
}

function isFor({ metadata, spec = {} }: AuthorizationPolicy, pod: PodFacts, world: World): boolean {
  const isInScope = metadata.namespace === world.rootNamespace || metadata.namespace === pod.namespace;
  return isInScope && selectsLabels(spec.selector?.matchLabels, pod.labels);
}

/** One pod of those alike, as the replicas of a Deployment are; not the waypoints' own, nor those outside the mesh. */
function distinctByLabels(pods: Iterable<PodFacts>): readonly PodFacts[] {
  const found = new Map<string, PodFacts>();
  for (const pod of pods) {
    if (!pod.isInMesh || pod.isWaypoint) continue;
    if (found.size === MAX_LABEL_SETS_COMPARED) break;
    found.set(`${pod.namespace} ${JSON.stringify(pod.labels)}`, pod);
  }
  return [...found.values()];
}

/** What ztunnels meet. */
interface Identity {
  /** Name of the waypoint whose it is. */
  readonly waypoint: string;
  readonly principal: string;
  readonly namespace: string;
  /** Name of its service account. */
  readonly account: string;
}

interface Before {
  readonly who: Identity;
  readonly pods: readonly PodFacts[];
}

/** As whom waypoints come to these pods, by the pods' own wish or that of a Service that selects them. */
function waypointsBefore(pods: readonly PodFacts[], world: World): readonly Before[] {
  const found = new Map<string, { readonly waypoint: Waypoint; readonly pods: Set<PodFacts> }>();
  const note = (waypoint: Waypoint | undefined, of: readonly PodFacts[]) => {
    if (waypoint === undefined || of.length === 0) return;
    const key = waypointKey(waypoint);
    const known = found.get(key) ?? { waypoint, pods: new Set() };
    found.set(key, known);
    for (const pod of of) known.pods.add(pod);
  };
  const byLabel = new PodsByLabel(pods);
  for (const pod of pods)
    note(world.binding('workload', pod.namespace, { labels: pod.labels ?? {} }).waypoint, [pod]);
  for (const { metadata, spec = {} } of world.services()) {
    const { namespace = '' } = metadata;
    const behind = byLabel.selected(namespace, spec.selector ?? {});
    if (behind.length === 0) continue;
    const { waypoint, canary } = world.binding('service', namespace, metadata);
    note(waypoint, behind);
    note(canary, behind);
  }
  return [...found.values()].flatMap((each) =>
    identitiesOf(each.waypoint, world).map((who) => ({ who, pods: [...each.pods] })),
  );
}

/** A Service is held against those pods alone that have the rarest label of its selector: there may be a thousand of either. */
class PodsByLabel {
  /** By namespace, name and value of each of their labels. */
  readonly #pods = new Map<string, PodFacts[]>();

  constructor(pods: Iterable<PodFacts>) {
    for (const pod of pods)
      for (const [name, value] of Object.entries(pod.labels ?? {})) {
        const key = `${pod.namespace} ${name} ${value}`;
        const known = this.#pods.get(key);
        if (known) known.push(pod);
        else this.#pods.set(key, [pod]);
      }
  }

  /** None, if the selector is empty. */
  selected(namespace: string, selector: Labels): readonly PodFacts[] {
    const [rarest = []] = Object.entries(selector)
      .map(([name, value]) => this.#pods.get(`${namespace} ${name} ${value}`) ?? [])
      .sort((a, b) => a.length - b.length);
    return rarest.filter(({ labels }) => selectsLabels(selector, labels));
  }
}

/** Mostly one. None, while it has no pods: then nobody knows. */
function identitiesOf(waypoint: Waypoint, world: World): readonly Identity[] {
  const { namespace, name } = waypoint;
  return [...world.accountsOf(waypoint)].sort().map((account) => ({
    waypoint: name,
    principal: `${world.trustDomain}/ns/${namespace}/sa/${account}`,
    namespace,
    account,
  }));
}

function namesIdentities({ from = [], when = [] }: PolicyRule): boolean {
  return (
    from.some(({ source = {} }) => PEER_IDENTITY_FIELDS.some((name) => (source[name]?.length ?? 0) > 0)) ||
    when.some(isOnIdentity)
  );
}

function isOnIdentity({ key }: PolicyCondition): boolean {
  return key === 'source.principal' || key === 'source.namespace';
}

/** Whether some rule may let it in. ztunnels are not sent an ALLOW rule of which they cannot see all. */
function admits({ metadata, spec = {} }: AuthorizationPolicy, who: Identity, world: World): boolean {
  const countsTrustDomains = world.l7WithoutWaypoint !== 'istio';
  const own = metadata.namespace ?? '';
  return (spec.rules ?? []).some(
    (rule) => unsupportedInRule(rule, countsTrustDomains).length === 0 && ruleMatches(rule, who, own),
  );
}

/** Whether some rule, by identities alone, is about it. */
function denies({ metadata, spec = {} }: AuthorizationPolicy, who: Identity): boolean {
  const own = metadata.namespace ?? '';
  return (spec.rules ?? []).some(
    (rule) => namesIdentities(rule) && asksForIdentitiesAlone(rule) && ruleMatches(rule, who, own),
  );
}

function asksForIdentitiesAlone({ from = [], to = [], when = [] }: PolicyRule): boolean {
  const names: readonly string[] = PEER_IDENTITY_FIELDS;
  return (
    to.length === 0 &&
    from.every(({ source = {} }) => Object.keys(source).every((name) => names.includes(name))) &&
    when.every(isOnIdentity)
  );
}

/** Whether its part about identities holds. */
function ruleMatches({ from = [], when = [] }: PolicyRule, who: Identity, own: string): boolean {
  if (from.length > 0 && !from.some(({ source = {} }) => sourceMatches(source, who, own))) return false;
  return when.every(({ key, values, notValues }) => {
    if (key === 'source.principal') return passes(values, notValues, who.principal);
    return key !== 'source.namespace' || passes(values, notValues, who.namespace);
  });
}

function sourceMatches(source: Source, { principal, namespace, account }: Identity, own: string): boolean {
  const isAmong = (accounts: Strings) =>
    serviceAccountMatches(accounts, own).some(
      (match) => match.namespace === namespace && match.serviceAccount === account,
    );
  return (
    passes(source.principals, source.notPrincipals, principal) &&
    passes(source.namespaces, source.notNamespaces, namespace) &&
    (!source.serviceAccounts?.length || isAmong(source.serviceAccounts)) &&
    !isAmong(source.notServiceAccounts)
  );
}

type Strings = Source['principals'];

function passes(values: Strings, notValues: Strings, text: string): boolean {
  return (!values?.length || isOneOf(values, text)) && !isOneOf(notValues, text);
}

/** As ztunnels are told, and read it. */
function isOneOf(values: Strings, text: string): boolean {
  return stringMatches(values)
    .map(stringMatchOf)
    .some((match) => match !== undefined && textMatches(match, text));
}
