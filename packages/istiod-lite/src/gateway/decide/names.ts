/** How the objects of a waypoint are called and labelled, as in Istio. Pure. */
import type { Gateway } from '@ambit/kube/resources/gateway';
import { NETWORK_LABEL } from '../../translate/settings.ts';

const NAME_OVERRIDE_ANNOTATION = 'gateway.istio.io/name-override';
const SERVICE_ACCOUNT_ANNOTATION = 'gateway.istio.io/service-account';
/** Of a Gateway, what says something about the Gateway itself. */
const OWN_ANNOTATIONS: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  'gateway.istio.io/controller-version',
  NAME_OVERRIDE_ANNOTATION,
  SERVICE_ACCOUNT_ANNOTATION,
]);
/** On a pod it says how a container is confined, which is not for those who may write Gateways alone. */
const APPARMOR_PREFIX = 'container.apparmor.security.beta.kubernetes.io/';
/** Labels and annotations that only the Gateway API itself gives meaning to. */
const RESERVED_PREFIX = 'gateway.networking.k8s.io/';

type Texts = Readonly<Record<string, string>>;

/** Also of the Service, the autoscaler and the disruption budget. */
export function deploymentName({ metadata }: Gateway): string {
  return metadata.annotations?.[NAME_OVERRIDE_ANNOTATION] ?? metadata.name;
}

export function serviceAccountName({ metadata }: Gateway): string {
  return metadata.annotations?.[SERVICE_ACCOUNT_ANNOTATION] ?? metadata.name;
}

/** What `spec.infrastructure` says, else what is on the Gateway; and which network it is in. */
export function infrastructureLabels({ metadata, spec }: Gateway, network: string): Texts {
  const given = spec?.infrastructure?.labels;
  const labels = given ? withoutReserved(given) : (metadata.labels ?? {});
  return network === '' || NETWORK_LABEL in labels ? labels : { ...labels, [NETWORK_LABEL]: network };
}

export function infrastructureAnnotations({ metadata, spec }: Gateway): Texts {
  const given = spec?.infrastructure?.annotations;
  const annotations = given ? withoutReserved(given) : (metadata.annotations ?? {});
  return filtered(annotations, (name) => !OWN_ANNOTATIONS.has(name) && !name.startsWith(APPARMOR_PREFIX));
}

function withoutReserved(texts: Texts): Texts {
  return filtered(texts, (name) => !name.startsWith(RESERVED_PREFIX));
}

function filtered(texts: Texts, keep: (name: string) => boolean): Texts {
  return Object.fromEntries(Object.entries(texts).filter(([name]) => keep(name)));
}
