/** AuthorizationPolicies and PeerAuthentications → what ztunnels are sent, and what each workload must name. */
import type { Collection } from '@ambit/collections/collection';
import { DerivedCollection, derivedValues } from '@ambit/collections/derived';
import type { Fetch } from '@ambit/collections/fetch';
import { IndexCollection } from '@ambit/collections/index-by';
import { JoinedCollection } from '@ambit/collections/join';
import { Singleton } from '@ambit/collections/singleton';
import { type Labels, selectsLabels } from '@ambit/kube/label-selector';
import type { PeerAuthentication } from '@ambit/kube/resources/security';
import type { EncodedResource } from '@ambit/xds/resource-feed';
import { authorizationResource, sameResource } from '../push/encode.ts';
import { type TranslatedPolicy, translateAuthorizationPolicy } from '../translate/authorization-policy.ts';
import {
  hasSelector,
  inheritedKey,
  modeWithoutSelector,
  type SelectedMode,
  selectedMode,
  staticStrict,
} from '../translate/peer-authentication.ts';
import { readableLabels } from '../translate/readable-labels.ts';
import { validatePeerAuthentication } from '../validate/peer-authentication.ts';
import { type GraphContext, sameContent } from './context.ts';

export interface Policies {
  /** By `namespace/name` of the AuthorizationPolicy. */
  readonly translated: Collection<string, TranslatedPolicy>;
  /** By resource name. */
  readonly authorizations: Collection<string, EncodedResource>;
  /** What a computation that calls {@link Policies.namesFor} must give as its inputs. */
  readonly inputs: readonly Collection<string, unknown>[];
  /** Keys of the policies that a workload with these labels in this namespace must name. */
  namesFor(namespace: string, labels: Labels | undefined, fetch: Fetch): readonly string[];
}

export function derivePolicies({ inputs, settings, scheduler, log }: GraphContext): Policies {
  const { rootNamespace } = settings;

  const translated = derivedValues({
    name: 'translated policies',
    scheduler,
    from: inputs.authorizationPolicies,
    compute: (policy) => translateAuthorizationPolicy(policy, settings),
    equals: sameContent,
  });
  const selecting = new IndexCollection({
    name: 'selecting policies by namespace',
    scheduler,
    from: translated,
    keysOf: ({ authorization, labels }) => (authorization && labels ? [authorization.namespace] : []),
  });
  const fromUsers = encoded('policies', translated, ({ authorization }) => authorization);

  const peerAuthentications = derivedValues({
    name: 'checked peer authentications',
    scheduler,
    from: inputs.peerAuthentications,
    compute: (policy, key) => {
      const { errors } = validatePeerAuthentication(policy, { rootNamespace });
      if (errors.length === 0) return policy;
      log.warn('invalid PeerAuthentication counts as STRICT', { policy: key, error: errors.join('; ') });
      return strictInstead(policy);
    },
    equals: sameContent,
  });
  const byNamespace = new IndexCollection({
    name: 'peer authentications by namespace',
    scheduler,
    from: peerAuthentications,
    keysOf: ({ metadata }) => [metadata.namespace ?? ''],
  });
  const modes = derivedValues({
    name: 'modes of namespaces',
    scheduler,
    from: byNamespace,
    compute: modeWithoutSelector,
  });
  const inherited = (namespace: string, fetch: Fetch) => ({
    mesh: fetch.get(modes, rootNamespace),
    namespace: fetch.get(modes, namespace),
  });
  const selected = derivedValues({
    name: 'modes of workloads',
    scheduler,
    from: peerAuthentications,
    inputs: [modes],
    compute: (policy, _, fetch): SelectedMode | undefined => {
      const namespace = policy.metadata.namespace ?? '';
      if (!hasSelector(policy) || namespace === rootNamespace) return undefined;
      return selectedMode(policy, inherited(namespace, fetch), rootNamespace);
    },
    equals: sameContent,
  });
  const selectedByNamespace = new IndexCollection({
    name: 'modes of workloads by namespace',
    scheduler,
    from: selected,
    keysOf: (_, key) => [key.slice(0, key.indexOf('/'))],
  });
  const converted = encoded('converted peer authentications', selected, (mode) => mode.converted);
  const strict = new Singleton({
    name: 'static strict policy',
    scheduler,
    inputs: [inputs.peerAuthentications],
    compute: () =>
      inputs.peerAuthentications.size > 0 ? authorizationResource(staticStrict(rootNamespace)) : undefined,
    equals: sameResource,
  });
  const fixed = new DerivedCollection({
    name: 'static policies',
    scheduler,
    from: strict,
    compute: (resource): readonly (readonly [string, EncodedResource])[] => [[resource.name, resource]],
    equals: sameResource,
  });

  function encoded<V>(
    name: string,
    from: Collection<string, V>,
    authorizationOf: (value: V) => TranslatedPolicy['authorization'],
  ): Collection<string, EncodedResource> {
    return new DerivedCollection({
      name,
      scheduler,
      from,
      compute: (value): readonly (readonly [string, EncodedResource])[] => {
        const authorization = authorizationOf(value);
        if (!authorization) return [];
        const resource = authorizationResource(authorization);
        return [[resource.name, resource]];
      },
      equals: sameResource,
    });
  }

  return {
    translated,
    authorizations: new JoinedCollection({ name: 'authorizations', from: [fromUsers, converted, fixed] }),
    inputs: [selecting, selectedByNamespace, modes],
    namesFor: (namespace, labels, fetch) => {
      const selectsUs = (policy: TranslatedPolicy) => selectsLabels(policy.labels, labels);
      const namespaces = new Set([namespace, rootNamespace]);
      const policies = [...namespaces].flatMap((each) => fetch.where(selecting, each, selectsUs));
      const names = policies.flatMap(({ authorization }) =>
        authorization ? [`${authorization.namespace}/${authorization.name}`] : [],
      );
      const ours = fetch.where(selectedByNamespace, namespace, (mode) => selectsLabels(mode.labels, labels));
      const mode = [...ours].sort(older)[0];
      const modeKey = mode ? mode.policyKey : inheritedKey(inherited(namespace, fetch), rootNamespace);
      return modeKey === undefined ? names : [...names, modeKey];
    },
  };
}

function older(a: SelectedMode, b: SelectedMode): number {
  const byTime = a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0;
  return byTime || (a.name < b.name ? -1 : 1);
}

/** What stands for a policy that cannot be understood: nothing plain gets in where it might have meant that. */
function strictInstead({ metadata, spec }: PeerAuthentication): PeerAuthentication {
  const labels = readableLabels(spec?.selector?.matchLabels);
  return {
    metadata,
    spec: { ...(labels && { selector: { matchLabels: labels } }), mtls: { mode: 'STRICT' } },
  };
}
