/** Finds in the cluster what the user named: the pod a connection comes from, and what it goes to. */
import type { KubeClient } from '@ambit/kube/client';
import {
  type EndpointSlice,
  endpointSlices,
  namespaces,
  type Pod,
  pods,
  type Service,
  services,
} from '@ambit/kube/resources/core';
import { exemption, isCaptured, nameOf } from '../enrolment.ts';
import { didYouMean } from '../did-you-mean.ts';
import { NotFoundError, UsageError } from '../errors.ts';
import {
  addressesOf,
  type Destination,
  hostPort,
  namesFinding,
  podAt,
  podsNamed,
  portOfPod,
  portOfService,
  type Source,
  serviceInHost,
} from '../names.ts';
import { namesIn } from '../similar-names.ts';
import type { PodEnd } from './explanation.ts';

export interface SourceEnd {
  readonly name: string;
  readonly ip: string;
  /** `undefined`: an address outside the cluster. */
  readonly pod: Pod | undefined;
  readonly notes: readonly string[];
}

export interface DestinationEnd {
  readonly name: string;
  /** As proxies take it. */
  readonly hostPort: string;
  readonly port: number;
  readonly service: Service | undefined;
  readonly pod: Pod | undefined;
  readonly notes: readonly string[];
}

const SERVICE_LABEL = 'kubernetes.io/service-name';

export class Ends {
  readonly #client: KubeClient;
  readonly #namespace: string;
  readonly #asked: string | undefined;
  readonly #signal: AbortSignal;

  /**
   * @param asked - Where names without a namespace are looked up, if the user said so.
   * @param namespace - Where else: sources at once, destinations after their source's own namespace.
   */
  constructor(
    client: KubeClient,
    { asked, namespace }: { readonly asked: string | undefined; readonly namespace: string },
    signal: AbortSignal,
  ) {
    this.#client = client;
    this.#asked = asked;
    this.#namespace = namespace;
    this.#signal = signal;
  }

  /** @throws {@link NotFoundError} */
  async source(source: Source): Promise<SourceEnd> {
    if (source.kind === 'ip') {
      const pod = podAt(source.ip, await this.#pods(undefined));
      return { name: pod ? nameOf(pod) : source.ip, ip: source.ip, pod, notes: [] };
    }
    const namespace = source.namespace ?? this.#asked ?? this.#namespace;
    const there = await this.#pods(namespace);
    const found = podsNamed(source.name, there);
    const [pod] = found;
    if (!pod) {
      const known = namesFinding(there.map(({ metadata }) => metadata.name));
      const hint = didYouMean(source.name, known) || otherPlace(source, this.#asked);
      throw new NotFoundError(
        `no pod in namespace ${namespace} is called ${source.name} or begins with ${source.name}-${hint}`,
      );
    }
    const ip = addressesOf(pod)[0];
    if (ip === undefined) throw new NotFoundError(`pod ${nameOf(pod)} has no address yet`);
    return { name: nameOf(pod), ip, pod, notes: severalNote(source.name, found) };
  }

  /**
   * A name without a namespace is looked up where the DNS of the source's pod would look: in the pod's own namespace.
   *
   * @throws {@link NotFoundError}, {@link UsageError} when a port must be named
   */
  async destination(destination: Destination, source: SourceEnd): Promise<DestinationEnd> {
    if (destination.kind === 'ip') return await this.#address(destination.ip, destination.port);
    if (destination.kind === 'host') return await this.#host(destination.host, destination.port);
    const { name, port } = destination;
    const places = this.#placesOf(destination.namespace, source);
    for (const namespace of places) {
      const end = await this.#named(namespace, name, port);
      if (!end) continue;
      const [own = namespace] = places;
      return namespace === own ? end : { ...end, notes: [elsewhereNote(name, own, namespace), ...end.notes] };
    }
    const where = `namespace${places.length === 1 ? '' : 's'} ${places.join(' and ')}`;
    const hint = didYouMean(name, await this.#namesOfDestinations(places));
    throw new NotFoundError(`there is no service and no pod ${name} in ${where}${hint}`);
  }

  async #namesOfDestinations(places: readonly string[]): Promise<readonly string[]> {
    const known = places.map(async (namespace) => [
      ...(await namesIn(this.#client, services, namespace, this.#signal)),
      ...namesFinding(await namesIn(this.#client, pods, namespace, this.#signal)),
    ]);
    return [...new Set((await Promise.all(known)).flat())];
  }

  /** The namespaces in which a destination's name is looked up, in their order. */
  #placesOf(named: string | undefined, { pod }: SourceEnd): readonly string[] {
    const only = named ?? this.#asked;
    if (only !== undefined) return [only];
    return [...new Set([pod?.metadata.namespace ?? this.#namespace, this.#namespace])];
  }

  async #named(
    namespace: string,
    name: string,
    port: number | undefined,
  ): Promise<DestinationEnd | undefined> {
    const service = await this.#client.find(services, { namespace, name }, this.#signal);
    if (service) return serviceEnd(service, port);
    const found = podsNamed(name, await this.#pods(namespace));
    const [pod] = found;
    return pod && podEnd(pod, port, severalNote(name, found));
  }

  /** A pod by its full name; `undefined` if it is gone. */
  async pod(at: { readonly namespace: string; readonly name: string }): Promise<Pod | undefined> {
    return await this.#client.find(pods, at, this.#signal);
  }

  /** Where a service's plain connections go: its first ready endpoint that is a pod, and the port there. */
  async endpoint(
    service: Service,
    port: number,
  ): Promise<{ readonly pod: Pod; readonly port: number } | undefined> {
    const { name, namespace = '' } = service.metadata;
    const labelSelector = `${SERVICE_LABEL}=${name}`;
    const { items } = await this.#client.list(endpointSlices, { namespace, labelSelector }, this.#signal);
    const portName = service.spec?.ports?.find((one) => one.port === port)?.name ?? '';
    for (const slice of items) {
      if (slice.metadata.labels?.[SERVICE_LABEL] !== name) continue;
      const target = targetPort(slice, portName);
      const ready = slice.endpoints?.find(
        ({ conditions, targetRef }) => conditions?.ready !== false && targetRef?.kind === 'Pod',
      );
      const pod = ready?.targetRef?.name && (await this.pod({ namespace, name: ready.targetRef.name }));
      if (pod && target !== undefined) return { pod, port: target };
    }
    return undefined;
  }

  /** The pod as one end of a connection, with the reason if it is not captured. */
  async end(pod: Pod): Promise<PodEnd> {
    const name = pod.metadata.namespace ?? '';
    const namespace = await this.#client.find(namespaces, { name }, this.#signal);
    const reason = exemption(pod, namespace) ?? 'its node agent has not captured it';
    return {
      name: nameOf(pod),
      node: pod.spec?.nodeName ?? '',
      notCaptured: isCaptured(pod) ? undefined : reason,
    };
  }

  async #address(ip: string, port: number | undefined): Promise<DestinationEnd> {
    const { items } = await this.#client.list(services, {}, this.#signal);
    const service = items.find(({ spec }) => spec?.clusterIPs?.includes(ip) || spec?.clusterIP === ip);
    if (service)
      return { ...serviceEnd(service, port), hostPort: hostPort(ip, portOfService(service, port)) };
    const pod = podAt(ip, await this.#pods(undefined));
    if (pod) return { ...podEnd(pod, port, []), hostPort: hostPort(ip, portOfPod(pod, port)) };
    if (port === undefined) throw new UsageError(`name a port, such as ${hostPort(ip, 80)}`);
    return {
      name: hostPort(ip, port),
      hostPort: hostPort(ip, port),
      port,
      service: undefined,
      pod: undefined,
      notes: [],
    };
  }

  async #host(host: string, port: number | undefined): Promise<DestinationEnd> {
    const inside = serviceInHost(host);
    const service = inside && (await this.#client.find(services, inside, this.#signal));
    if (service) return serviceEnd(service, port);
    if (port === undefined) throw new UsageError(`name a port, such as ${host}:443`);
    return {
      name: `${host}:${port}`,
      hostPort: `${host}:${port}`,
      port,
      service: undefined,
      pod: undefined,
      notes: [],
    };
  }

  async #pods(namespace: string | undefined): Promise<readonly Pod[]> {
    return (await this.#client.list(pods, { namespace }, this.#signal)).items;
  }
}

function serviceEnd(service: Service, asked: number | undefined): DestinationEnd {
  const { name, namespace = '' } = service.metadata;
  const port = portOfService(service, asked);
  return {
    name: `service ${namespace}/${name} port ${port}`,
    hostPort: `${name}.${namespace}:${port}`,
    port,
    service,
    pod: undefined,
    notes: [],
  };
}

function podEnd(pod: Pod, asked: number | undefined, notes: readonly string[]): DestinationEnd {
  const port = portOfPod(pod, asked);
  const ip = addressesOf(pod)[0];
  if (ip === undefined) throw new NotFoundError(`pod ${nameOf(pod)} has no address yet`);
  return {
    name: `pod ${nameOf(pod)} port ${port}`,
    hostPort: hostPort(ip, port),
    port,
    service: undefined,
    pod,
    notes,
  };
}

/** Whoever named no namespace may not know where it was looked for. */
function otherPlace({ namespace }: { readonly namespace: string | undefined }, asked: string | undefined) {
  return namespace === undefined && asked === undefined
    ? '; of another namespace it is NAMESPACE/NAME, or --namespace'
    : '';
}

function severalNote(name: string, found: readonly Pod[]): readonly string[] {
  const [first] = found;
  return first && found.length > 1 ? [`${name} is ${found.length} pods; this is about ${nameOf(first)}`] : [];
}

function elsewhereNote(name: string, own: string, found: string): string {
  return `namespace ${own} has no ${name}; this is about the one in ${found}, which that pod has to call by its namespace too`;
}

function targetPort(slice: EndpointSlice, name: string): number | undefined {
  return slice.ports?.find((port) => (port.name ?? '') === name)?.port;
}
