/**
 * `/config_dump`: everything that this waypoint holds and goes by, for whoever asks why it does what it does. Never a key,
 * a token or a password.
 *
 * It is made on the loop that serves requests, so it is made item by item while it is sent, with others' turns between, and
 * each part is bounded. `part` asks for single ones.
 */
import { json } from '@ambit/core/admin/pages';
import { sortedJson } from '@ambit/core/admin/sorted-json';
import type { HttpResponse } from '@ambit/core/http-server';
import type { CertificateState } from '@ambit/identity/certificate-store';
import { dumpCertificates } from '@ambit/identity/dump';
import { dumpService } from '@ambit/model/dump';
import type { MeshStore } from '@ambit/model/store';
import type { TypeReport } from '@ambit/xds/client/type-state';
import type { Self } from '../../config.ts';
import { isAttached, type WaypointIdentity } from '../../decide/destination.ts';
import type { Admission } from '../../exchange/admission.ts';
import type { ResourceStore } from '../../resources/store.ts';
import type { KeySetReport } from '../../security/jwks.ts';
import type { Cluster } from '../../upstream/cluster.ts';
import { dumpDestination } from './destination.ts';
import { MAX_DUMPED } from './limits.ts';
import { dumpAuthorizationPolicy, dumpMeshSettings, dumpRequestAuthentication } from './resources.ts';
import { shown } from './shown.ts';

export interface DumpSources {
  readonly version: string;
  readonly self: Self;
  readonly identity: WaypointIdentity;
  readonly mesh: MeshStore;
  readonly resources: ResourceStore;
  readonly destinations: () => Iterable<Cluster>;
  readonly keySets: () => readonly KeySetReport[];
  readonly certificates: () => readonly CertificateState[];
  readonly feeds: () => readonly TypeReport[];
  readonly admission: Admission;
}

/** A part of the dump: a value, or a list of things that are shown one by one. */
type Part = { readonly value: () => unknown } | { readonly items: () => readonly (() => unknown)[] };

export function handleConfigDump(query: URLSearchParams, sources: DumpSources): HttpResponse {
  const parts = partsOf(sources);
  const names = Object.keys(parts);
  const asked = query.getAll('part').flatMap((text) => text.split(','));
  const unknown = asked.find((name) => !names.includes(name));
  if (unknown !== undefined)
    return { status: 400, body: `there is no part ${unknown.slice(0, 100)}: want ${names.join(', ')}\n` };
  const wanted = names.filter((name) => asked.length === 0 || asked.includes(name));
  const pieces = dumpPieces(wanted.flatMap((name) => (parts[name] ? [[name, parts[name]] as const] : [])));
  return { ...json(''), body: { pieces }, compress: true };
}

function partsOf(sources: DumpSources): Readonly<Record<string, Part>> {
  const { mesh, resources, admission, identity, self } = sources;
  const each = <T>(values: () => Iterable<T>, show: (value: T) => unknown): Part => ({
    items: () => [...values()].map((value) => () => show(value)),
  });
  const attached = () => [...mesh.services()].filter((service) => isAttached(mesh, identity, service));
  return {
    authorizationPolicies: each(() => resources.values('AuthorizationPolicy'), dumpAuthorizationPolicy),
    certificates: { value: () => dumpCertificates(sources.certificates()) },
    destinationPolicies: each(() => resources.values('DestinationPolicy'), shown),
    destinations: each(sources.destinations, dumpDestination),
    feeds: { value: sources.feeds },
    httpRoutes: each(() => resources.values('HttpRoute'), shown),
    keySets: each(sources.keySets, shown),
    mesh: {
      value: () => ({
        services: [...mesh.services()].length,
        workloads: [...mesh.workloads()].length,
        version: mesh.version,
        resourcesVersion: resources.version,
      }),
    },
    requestAuthentications: each(() => resources.values('RequestAuthentication'), dumpRequestAuthentication),
    self: { value: () => self },
    services: each(attached, (service) => shown(dumpService(service, [...mesh.endpointsOf(service.key)]))),
    settings: { value: () => dumpMeshSettings(resources.settings) },
    streamRoutes: each(() => resources.values('StreamRoute'), shown),
    telemetries: each(() => resources.values('Telemetry'), shown),
    use: { value: () => ({ requests: admission.requests, connections: admission.connections }) },
    version: { value: () => sources.version },
  };
}

function* dumpPieces(parts: readonly (readonly [string, Part])[]): Generator<string> {
  const leftOut: Record<string, number> = {};
  let separator = '{\n';
  for (const [name, part] of parts) {
    yield `${separator}  ${JSON.stringify(name)}: `;
    separator = ',\n';
    if ('value' in part) {
      yield indented(sortedJson(part.value()));
      continue;
    }
    const items = part.items();
    if (items.length > MAX_DUMPED) leftOut[name] = items.length - MAX_DUMPED;
    let before = '[\n    ';
    for (const item of items.slice(0, MAX_DUMPED)) {
      yield `${before}${indented(indented(sortedJson(item())))}`;
      before = ',\n    ';
    }
    yield items.length === 0 ? '[]' : '\n  ]';
  }
  const isCut = Object.keys(leftOut).length > 0;
  yield isCut ? `,\n  "leftOut": ${indented(sortedJson(leftOut))}\n}\n` : '\n}\n';
}

/** JSON text has no line breaks within its texts. */
function indented(text: string): string {
  return text.replaceAll('\n', '\n  ');
}
