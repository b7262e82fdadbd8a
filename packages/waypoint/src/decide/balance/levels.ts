/**
 * Which endpoints are preferred to which, by where they are: what a DestinationRule says of localities, else the Service's
 * traffic distribution, else what the mesh says.
 *
 * As in Istio, failover by locality needs outlier detection: without it nobody would ever notice that a level is sick, and
 * everything would stay in one zone.
 */
import { perfectRank, type Place, preferencesOf, sharedScopes } from '@ambit/model/load-balance';
import type { LoadBalancer as ServiceBalancer } from '@ambit/model/service';
import type { Locality } from '@ambit/model/workload';
import type { FailoverLabel, LocalityPreference, LocalityShare } from '../../resources/destination-policy.ts';

/** Endpoints that are used together, before those of the next level. */
export interface Level<E> {
  readonly groups: readonly {
    /** Of its locality, where they are told apart; otherwise empty. */
    readonly name: string;
    /** Of the level's requests. */
    readonly weight: number;
    readonly endpoints: readonly E[];
  }[];
}

export interface LevelOptions {
  /** Where this waypoint is. */
  readonly from: Place;
  readonly service: ServiceBalancer | undefined;
  /** Of a DestinationRule. */
  readonly preference: LocalityPreference | undefined;
  /** Of the mesh. */
  readonly mesh: LocalityPreference | undefined;
  readonly detectsOutliers: boolean;
}

/** An endpoint, and where it is. */
interface Placed extends Place {
  readonly weight: number;
  /** Of its workload, if that is known. */
  readonly uid?: string;
}

/** From the most preferred on; none is empty. */
export function levelsOf<E extends Placed>(
  endpoints: readonly E[],
  options: LevelOptions,
): readonly Level<E>[] {
  const { from, service, detectsOutliers } = options;
  // A rule goes before the Service, and that before the mesh.
  const preference = options.preference ?? (service?.mode === 'Failover' ? undefined : options.mesh);
  const strict = perfectRank(service);
  const allowed =
    strict === undefined
      ? endpoints
      : endpoints.filter((endpoint) => sharedScopes(preferencesOf(service), endpoint, from) === strict);
  const shares = preference?.enabled ? preference.distribute : [];
  const share = shares.find(({ from: pattern }) => localityMatches(pattern, from.locality));
  if (share) return distributed(allowed, share);
  if (preference === undefined && service?.mode === 'Failover') {
    return byRank(allowed, (endpoint) => -sharedScopes(preferencesOf(service), endpoint, from));
  }
  const fails =
    detectsOutliers && preference?.enabled !== false && (preference?.distribute.length ?? 0) === 0;
  if (!fails) return byRank(allowed, () => 0);
  if (preference && preference.failoverPriority.length > 0) {
    return byRank(allowed, (endpoint) => -sharedLabels(preference.failoverPriority, endpoint, from));
  }
  return byRank(allowed, (endpoint) =>
    distance(endpoint.locality, from.locality, preference?.failover ?? []),
  );
}

/** A lower rank is preferred. */
function byRank<E>(endpoints: readonly E[], rank: (endpoint: E) => number): readonly Level<E>[] {
  const ranks = Map.groupBy(endpoints, rank);
  return [...ranks]
    .sort(([a], [b]) => a - b)
    .map(([, members]) => ({ groups: [{ name: '', weight: 1, endpoints: members }] }));
}

/** One level; each locality that the user names gets its share, and nobody else anything. */
function distributed<E extends Placed>(endpoints: readonly E[], { to }: LocalityShare): readonly Level<E>[] {
  const groups = [...Map.groupBy(endpoints, ({ locality }) => formatLocality(locality))].flatMap(
    ([name, members]) => {
      const target = to.find(({ locality }) => localityMatches(locality, members[0]?.locality ?? NOWHERE));
      return target ? [{ name, target, endpoints: members }] : [];
    },
  );
  // A pattern may stand for several localities, which share its weight by what they can carry.
  const capacity = (members: readonly E[]) => members.reduce((sum, { weight }) => sum + weight, 0);
  const weighed = groups.map(({ name, target, endpoints: members }) => {
    const all = groups.filter((group) => group.target === target);
    const sum = all.reduce((total, group) => total + capacity(group.endpoints), 0);
    return { name, weight: sum === 0 ? 0 : (target.weight * capacity(members)) / sum, endpoints: members };
  });
  return weighed.length === 0 ? [] : [{ groups: weighed }];
}

const NOWHERE: Locality = { region: '', zone: '', subzone: '' };

export function formatLocality({ region, zone, subzone }: Locality): string {
  return `${region}/${zone}/${subzone}`;
}

/** `region/zone/subzone`; a part may be `*`, and parts may be missing at the end. */
function localityMatches(pattern: string, { region, zone, subzone }: Locality): boolean {
  const wanted = pattern.split('/');
  return [region, zone, subzone].every((part, i) => {
    const want = wanted[i];
    return want === undefined || want === '*' || want === part;
  });
}

/** How many of the labels, in order, both have the same values of: Istio stops at the first that differs. */
function sharedLabels(labels: readonly FailoverLabel[], endpoint: Placed, from: Place): number {
  const differing = labels.findIndex(
    (label) => valueAt(label, endpoint) !== (label.value ?? toldOf(label, from)),
  );
  return differing < 0 ? labels.length : differing;
}

/** What is on nobody is the same for all. */
function valueAt(label: FailoverLabel, endpoint: Placed): string {
  return label.values ? (label.values.get(endpoint.uid ?? '') ?? '') : toldOf(label, endpoint);
}

/** Istio's names for what mesh state tells of a workload. */
function toldOf({ label }: FailoverLabel, { locality, network, clusterId, node }: Place): string {
  switch (label) {
    case 'topology.kubernetes.io/region':
      return locality.region;
    case 'topology.kubernetes.io/zone':
      return locality.zone;
    case 'topology.istio.io/subzone':
      return locality.subzone;
    case 'topology.istio.io/network':
      return network;
    case 'topology.istio.io/cluster':
      return clusterId;
    case 'kubernetes.io/hostname':
      return node;
    default:
      return '';
  }
}

/** 0: the same subzone, 1: zone, 2: region, 3: the region that failover names, 4: any other. */
function distance(
  to: Locality,
  from: Locality,
  failover: readonly { readonly from: string; readonly to: string }[],
): number {
  if (to.region !== from.region) {
    const named = failover.find((one) => one.from === from.region);
    return named === undefined || named.to === to.region ? 3 : 4;
  }
  if (to.zone !== from.zone) return 2;
  return to.subzone === from.subzone ? 0 : 1;
}
