/**
 * Waypoints that an ALLOW policy of ztunnels keeps from the pods behind them, so that every request by them fails. Pure.
 *
 * The ztunnel of a pod behind a waypoint meets the waypoint's identity in the place of the client's. Nothing is said of
 * a policy whose rules name no identity, as one without rules is meant for everybody; and whatever rules ask beside
 * identities (ports, addresses) is taken to hold, so that silence is what is left in doubt.
 */
import { selectsLabels } from '@ambit/kube/label-selector';
import type { AuthorizationPolicy, PolicyRule, Source } from '@ambit/kube/resources/security';
import { MAX_LABEL_SETS_COMPARED } from '../limits.ts';
import { unsupportedInRule } from '../translate/l7-attributes.ts';
import { targetsOf } from '../translate/policy-targets.ts';
import { type Waypoint, waypointKey } from '../translate/waypoint.ts';
import { DRY_RUN_ANNOTATION } from './authorization-policy.ts';
import type { PodFacts, World } from './world.ts';

/** @param selected - Pods that the policy is for. */
export function* shutOutWaypoints(
  policy: AuthorizationPolicy,
  selected: Iterable<PodFacts>,
  world: World,
): Iterable<string> {
  const { rules = [] } = policy.spec ?? {};
  if (!isAllowForZtunnels(policy) || !rules.some(namesIdentities)) return;
  for (const { waypoint, pods } of waypointsBefore(unlike(selected), world)) {
    const principal = `${world.trustDomain}/ns/${waypoint.namespace}/sa/${world.accountOf(waypoint)}`;
    if (admits(policy, principal)) continue;
    const others = [...world.authorizationPolicies()].filter(
      (other) => !isSame(other, policy) && isAllowForZtunnels(other) && admits(other, principal),
    );
    if (pods.every((pod) => others.some((other) => isFor(other, pod, world)))) continue;
    yield `spec.rules: waypoint ${waypointKey(waypoint)} is not let in, so what comes by it gets 503: use targetRefs (the waypoint, or Services behind it) instead of selecting pods, or add principal ${principal}`;
  }
}

function isAllowForZtunnels({ metadata, spec = {} }: AuthorizationPolicy): boolean {
  const isDryRun = metadata.annotations?.[DRY_RUN_ANNOTATION] === 'true';
  return (spec.action ?? 'ALLOW') === 'ALLOW' && !isDryRun && targetsOf(spec).length === 0;
}

function isSame({ metadata: a }: AuthorizationPolicy, { metadata: b }: AuthorizationPolicy): boolean {
  return a.namespace === b.namespace && a.name === b.name;
}

function isFor({ metadata, spec = {} }: AuthorizationPolicy, pod: PodFacts, world: World): boolean {
  const isInScope = metadata.namespace === world.rootNamespace || metadata.namespace === pod.namespace;
  return isInScope && selectsLabels(spec.selector?.matchLabels, pod.labels);
}

/** One pod of those alike, as the replicas of a Deployment are; not the waypoints' own, nor those outside the mesh. */
function unlike(pods: Iterable<PodFacts>): readonly PodFacts[] {
  const found = new Map<string, PodFacts>();
  for (const pod of pods) {
    if (!pod.isInMesh || pod.isWaypoint) continue;
    if (found.size === MAX_LABEL_SETS_COMPARED) break;
    found.set(`${pod.namespace} ${JSON.stringify(pod.labels)}`, pod);
  }
  return [...found.values()];
}

interface Before {
  readonly waypoint: Waypoint;
  readonly pods: readonly PodFacts[];
}

/** Which waypoints are before these pods, by the pods' own wish or that of a Service that selects them. */
function waypointsBefore(pods: readonly PodFacts[], world: World): readonly Before[] {
  const found = new Map<string, { readonly waypoint: Waypoint; readonly pods: Set<PodFacts> }>();
  const note = (waypoint: Waypoint | undefined, of: readonly PodFacts[]) => {
    if (waypoint === undefined || of.length === 0) return;
    const key = waypointKey(waypoint);
    const known = found.get(key) ?? { waypoint, pods: new Set() };
    found.set(key, known);
    for (const pod of of) known.pods.add(pod);
  };
  const byNamespace = Map.groupBy(pods, ({ namespace }) => namespace);
  for (const pod of pods)
    note(world.binding('workload', pod.namespace, { labels: pod.labels ?? {} }).waypoint, [pod]);
  for (const { metadata, spec = {} } of world.services()) {
    const { namespace = '' } = metadata;
    const near = byNamespace.get(namespace);
    const { selector = {} } = spec;
    if (near === undefined || Object.keys(selector).length === 0) continue;
    const { waypoint, canary } = world.binding('service', namespace, metadata);
    if (waypoint === undefined) continue;
    const behind = near.filter(({ labels }) => selectsLabels(selector, labels));
    note(waypoint, behind);
    note(canary, behind);
  }
  return [...found.values()].map((each) => ({ waypoint: each.waypoint, pods: [...each.pods] }));
}

const IDENTITY_FIELDS = [
  'principals',
  'notPrincipals',
  'namespaces',
  'notNamespaces',
  'serviceAccounts',
  'notServiceAccounts',
] as const;

function namesIdentities({ from = [], when = [] }: PolicyRule): boolean {
  return (
    from.some(({ source = {} }) => IDENTITY_FIELDS.some((name) => (source[name]?.length ?? 0) > 0)) ||
    when.some(({ key }) => key === 'source.principal' || key === 'source.namespace')
  );
}

/** Whether some rule may let in whoever proves `principal`. */
function admits({ metadata, spec = {} }: AuthorizationPolicy, principal: string): boolean {
  const [, , namespace = '', , account = ''] = principal.split('/');
  const texts = { principal, namespace, account: `${namespace}/${account}` };
  const own = metadata.namespace ?? '';
  return (spec.rules ?? []).some((rule) => ruleAdmits(rule, texts, own));
}

interface Texts {
  readonly principal: string;
  readonly namespace: string;
  /** `namespace/name`. */
  readonly account: string;
}

/** ztunnel leaves out a rule that speaks of HTTP. */
function ruleAdmits(rule: PolicyRule, texts: Texts, own: string): boolean {
  const { from = [], when = [] } = rule;
  if (unsupportedInRule(rule, false).length > 0) return false;
  if (from.length > 0 && !from.some(({ source = {} }) => sourceAdmits(source, texts, own))) return false;
  return when.every(({ key, values, notValues }) => {
    if (key === 'source.principal') return passes(values, notValues, texts.principal);
    return key !== 'source.namespace' || passes(values, notValues, texts.namespace);
  });
}

function sourceAdmits(source: Source, { principal, namespace, account }: Texts, own: string): boolean {
  const full = (accounts: Strings) => accounts?.map((name) => (name.includes('/') ? name : `${own}/${name}`));
  return (
    passes(source.principals, source.notPrincipals, principal) &&
    passes(source.namespaces, source.notNamespaces, namespace) &&
    passes(full(source.serviceAccounts), full(source.notServiceAccounts), account)
  );
}

type Strings = Source['principals'];

function passes(values: Strings, notValues: Strings, text: string): boolean {
  const isOneOf = (all: readonly string[]) => all.some((value) => textMatches(value, text));
  return (!values?.length || isOneOf(values)) && !isOneOf(notValues ?? []);
}

/** As `stringMatches` of translate/matchers.ts reads it. */
function textMatches(value: string, text: string): boolean {
  if (value.startsWith('*')) return text.endsWith(value.slice(1));
  return value.endsWith('*') ? text.startsWith(value.slice(0, -1)) : value === text;
}
