/**
 * `/debug/why`: what would become of a request or a connection here, by the same decisions that requests meet, on what this
 * waypoint holds now. Its answer has the shape of a ztunnel's, which it continues. Nothing is sent to the destination and nothing
 * changes; for a token, keys of its issuer may be fetched, as for that of a request.
 */
import { sortedJson } from '@ambit/core/admin/sorted-json';
import type { HttpResponse } from '@ambit/core/http-server';
import { formatHostPort, parseIp } from '@ambit/core/ip';
import { octetsOf } from '@ambit/http/header-fields';
import type { MeshStore } from '@ambit/model/store';
import { parseIdentity, type Workload } from '@ambit/model/workload';
import { levelsOf } from '../decide/balance/levels.ts';
import {
  type Destination as Asked,
  decideDestination,
  type WaypointIdentity,
} from '../decide/destination.ts';
import { forwardedRequest } from '../decide/filters.ts';
import type { ConnectionView, RequestView, TokenClaims } from '../decide/request-view.ts';
import type { Forward } from '../decide/route-decision.ts';
import {
  type EndpointsTrace,
  type Authorizes,
  explainConnection,
  explainRequest,
  type KeptFrom,
  type TokenFinding,
  type WhyStep,
} from '../decide/why.ts';
import { keptFrom } from '../exchange/downstream.ts';
import { authorizerNamed } from '../resources/mesh-settings.ts';
import type { PortConfig, Snapshot } from '../resources/snapshot.ts';
import { without, withFields } from '../exchange/fields.ts';
import type { Authenticator } from '../security/authenticate.ts';
import { withToken } from '../security/place-token.ts';
import type { Cluster } from '../upstream/cluster.ts';
import { UpstreamError } from '../upstream/errors.ts';

export interface WhySources {
  readonly mesh: MeshStore;
  readonly snapshot: () => Snapshot;
  readonly self: WaypointIdentity;
  /** This waypoint, as a client of services. */
  readonly place: () => Workload;
  /** @param host - That the request is sent for. */
  readonly cluster: (
    backend: Forward['backend'],
    host: string,
  ) => Pick<Cluster, 'endpoints' | 'pending' | 'problem' | 'isChosenByClient'> | UpstreamError;
  /** As tokens of requests are looked at. */
  readonly authenticate: Authenticator['authenticate'];
  readonly version: string;
}

interface Step {
  readonly step: WhyStep['step'] | 'destination';
  readonly outcome: WhyStep['outcome'];
  readonly message: string;
  readonly detail?: unknown;
}

export interface WaypointWhy {
  readonly proxy: {
    readonly version: string;
    readonly meshVersion: number;
    readonly resourcesVersion: number;
  };
  readonly source: { readonly identity: string; readonly address: string };
  readonly steps: readonly Step[];
}

const USAGE =
  'want destination=HOST-OR-IP:PORT, and for the client identity=spiffe://… or source=NAMESPACE/POD; ' +
  'for a request method, path, authority, header=NAME:VALUE (repeated), jwt=TOKEN or claims=JSON; for a connection protocol=tcp or tls, sni\n';

export async function handleWhy(query: URLSearchParams, sources: WhySources): Promise<HttpResponse> {
  const question = parseQuestion(query, sources.mesh);
  if (question === undefined) return { status: 400, body: USAGE };
  const body = `${sortedJson(await why(question, sources))}\n`;
  return { status: 200, headers: { 'content-type': 'application/json' }, body };
}

export interface Question {
  readonly host: string;
  readonly port: number;
  readonly identity: string | undefined;
  readonly sourceIp: string;
  readonly request: RequestView;
  /** A token that it brings besides those in its fields. */
  readonly jwt: string | undefined;
  /** What a token says that is not looked at. */
  readonly claims: TokenClaims | undefined;
  readonly protocol: 'http' | 'tcp' | 'tls';
  readonly sni: string | undefined;
}

function parseQuestion(query: URLSearchParams, mesh: MeshStore): Question | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(query.get('destination') ?? '');
  const port = Number(match?.[3]);
  const protocol = query.get('protocol') ?? 'http';
  if (!match || port < 1 || port > 65_535) return undefined;
  if (protocol !== 'http' && protocol !== 'tcp' && protocol !== 'tls') return undefined;
  const host = match[1] ?? match[2] ?? '';
  const client = clientOf(query, mesh);
  const claims = claimsOf(query.get('claims'));
  const fields = query.getAll('header').map(fieldOf);
  if (client === undefined || claims === 'malformed' || fields.includes(undefined)) return undefined;
  return {
    host,
    port,
    ...client,
    protocol,
    sni: query.get('sni') ?? undefined,
    jwt: query.get('jwt') ?? undefined,
    claims,
    request: {
      method: query.get('method') ?? 'GET',
      scheme: 'http',
      authority: query.get('authority') ?? host,
      path: query.get('path') ?? '/',
      fields: fields.flatMap((field) => field ?? []),
      version: '1.1',
    },
  };
}

function clientOf(
  query: URLSearchParams,
  mesh: MeshStore,
): Pick<Question, 'identity' | 'sourceIp'> | undefined {
  const sourceIp = parseIp(query.get('sourceIp') ?? '');
  const identity = query.get('identity') ?? undefined;
  const source = query.get('source');
  if (source === null) {
    if (identity !== undefined && parseIdentity(identity) === undefined) return undefined;
    return { identity, sourceIp: sourceIp ?? '0.0.0.0' };
  }
  const [namespace, name, ...rest] = source.split('/');
  if (rest.length > 0) return undefined;
  for (const workload of mesh.workloads()) {
    if (workload.namespace !== namespace || workload.name !== name) continue;
    return { identity: workload.identity, sourceIp: sourceIp ?? workload.addresses[0] ?? '0.0.0.0' };
  }
  return undefined;
}

function fieldOf(text: string): readonly [name: string, value: string] | undefined {
  const colon = text.indexOf(':', 1);
  if (colon < 0) return undefined;
  return [text.slice(0, colon).trim().toLowerCase(), octetsOf(text.slice(colon + 1).trim())];
}

function claimsOf(json: string | null): TokenClaims | undefined | 'malformed' {
  if (json === null) return undefined;
  try {
    const claims: unknown = JSON.parse(json);
    if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) return 'malformed';
    const { iss, sub } = claims as Readonly<Record<string, unknown>>;
    const principal = typeof iss === 'string' && typeof sub === 'string' ? `${iss}/${sub}` : '';
    return { principal, claims: claims as Readonly<Record<string, unknown>> };
  } catch {
    return 'malformed';
  }
}

export async function why(question: Question, sources: WhySources): Promise<WaypointWhy> {
  const snapshot = sources.snapshot();
  const { identity, sourceIp } = question;
  const proxy = {
    version: sources.version,
    meshVersion: sources.mesh.version,
    resourcesVersion: snapshot.version,
  };
  return {
    proxy,
    source: { identity: identity ?? '', address: sourceIp },
    steps: await steps(question, snapshot, sources),
  };
}

async function steps(question: Question, snapshot: Snapshot, sources: WhySources): Promise<readonly Step[]> {
  if (!snapshot.complete) {
    const message = 'the control plane has not told everything yet: requests get 503';
    return [{ step: 'destination', outcome: 'refuse', message }];
  }
  const asked = destinationOf(question, sources);
  if ('step' in asked) return [asked];
  const config =
    asked.kind === 'service' ? snapshot.servicePort(asked.service.key, asked.port) : snapshot.workloads();
  const { identity, sourceIp, sni } = question;
  const connection: ConnectionView = { identity, sourceIp, destination: asked.address, sni };
  const kept: KeptFrom = (lead, subject, led) =>
    asked.kind === 'service' ? keptFrom(snapshot, asked, lead, subject, led) : undefined;
  const rest =
    question.protocol === 'http'
      ? await requestSteps(question, config, connection, kept, snapshot, sources)
      : explainConnection(
          config,
          connection,
          {
            isTls: question.protocol === 'tls',
            sni,
            sourceNamespace: identity === undefined ? undefined : parseIdentity(identity)?.namespace,
          },
          kept,
          authorizesIn(snapshot),
        );
  return [destinationStep(asked), ...rest];
}

async function requestSteps(
  question: Question,
  config: PortConfig,
  connection: ConnectionView,
  kept: KeptFrom,
  snapshot: Snapshot,
  sources: WhySources,
): Promise<readonly Step[]> {
  const destination = ({ backend }: Forward) =>
    snapshot.destination(backend.to.service, backend.to.port, backend.subset);
  return explainRequest({
    config,
    normalization: snapshot.settings.pathNormalization,
    ...(await authenticated(question, config, sources)),
    connection,
    authorizes: authorizesIn(snapshot),
    keptFrom: kept,
    destination,
    endpoints: (decision) => {
      const { authority } = forwardedRequest(decision, question.request);
      return endpointsOf(decision, authority, destination(decision), snapshot, sources);
    },
  });
}

function authorizesIn({ settings }: Snapshot): Authorizes {
  return (name) => authorizerNamed(settings, name) !== undefined;
}

/** What becomes of the request's tokens, and of the request by them. */
async function authenticated(
  { request, jwt, claims }: Question,
  { authentication }: PortConfig,
  { authenticate }: WhySources,
): Promise<{ readonly request: RequestView; readonly token: TokenFinding }> {
  if (claims) return { request, token: { kind: 'assumed', claims } };
  const rules = authentication.flatMap((policy) => policy.rules);
  const asked = jwt === undefined ? request : withToken(request, jwt, rules);
  if (authentication.length === 0) return { request: asked, token: { kind: 'verified', claims: undefined } };
  const outcome = await authenticate(authentication, asked);
  if (outcome.kind === 'refuse') {
    const { status, reason } = outcome;
    return { request: asked, token: { kind: 'refused', status, reason } };
  }
  const { remove, set, vouched } = outcome.changes;
  const fields = withFields(without(asked.fields, new Set(remove)), set);
  const believed = { ...asked, fields, vouched, tokenPlaces: outcome.places };
  return { request: believed, token: { kind: 'verified', claims: outcome.token } };
}

/** An address, or the name of a service: then its first address. */
function destinationOf({ host, port, identity }: Question, { mesh, self }: WhySources): Asked | Step {
  const ip = parseIp(host) ?? mesh.servicesByHostname(host)[0]?.vips[0]?.ip;
  if (ip === undefined) {
    return { step: 'destination', outcome: 'unknown', message: `${host} is no service with an address` };
  }
  const clientNamespace = identity === undefined ? undefined : parseIdentity(identity)?.namespace;
  const decided = decideDestination(mesh, self, { authority: formatHostPort(ip, port), clientNamespace });
  if (decided.kind !== 'refuse') return decided;
  const { message, reason, status } = decided;
  return { step: 'destination', outcome: 'refuse', message, detail: { reason, status } };
}

function destinationStep(asked: Asked): Step {
  const name = asked.kind === 'service' ? asked.service.key : asked.workload.uid;
  const protocol = asked.protocol ?? 'nothing declared';
  const message = `${name} port ${asked.port} (${protocol}) uses this waypoint`;
  return { step: 'destination', outcome: 'ok', message };
}

function endpointsOf(
  { backend }: Forward,
  host: string,
  { loadBalancer, outlierDetection }: ReturnType<Snapshot['destination']>,
  { settings: { locality } }: Snapshot,
  { mesh, place, cluster }: WhySources,
): EndpointsTrace {
  const found = cluster(backend, host);
  if (found instanceof UpstreamError) return { kind: 'none', problem: found.message };
  const { pending, problem, isChosenByClient, endpoints } = found;
  if (pending) return { kind: 'awaited' };
  if (problem) return { kind: 'none', problem: problem.message };
  if (isChosenByClient) return { kind: 'chosen' };
  const levels = levelsOf([...endpoints], {
    from: place(),
    service: mesh.serviceByKey(backend.to.service)?.loadBalancer,
    preference: loadBalancer?.locality,
    mesh: locality,
    detectsOutliers: outlierDetection !== undefined,
  });
  const all = levels.flatMap(({ groups }, level) =>
    groups.flatMap((group) =>
      group.endpoints.map(({ key, weight, isHealthy, facts }) => ({
        endpoint: key,
        workload: facts.workload?.uid ?? '',
        level,
        weight,
        healthy: isHealthy,
      })),
    ),
  );
  return { kind: 'all', all };
}
