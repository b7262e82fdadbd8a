/** The security of a waypoint put together: tokens, and services that authorize. */
import type { Clock } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { MeshView } from '@ambit/model/mesh';
import { chooseService } from '@ambit/model/service-choice';
import type { MeshSettings } from '../resources/mesh-settings.ts';
import { ExternalAuthorizer, type ServiceRequest, type ServiceResponse } from './ask-external.ts';
import { Authenticator } from './authenticate.ts';
import { documentFetcher, type WebFetch } from './fetch-document.ts';
import { type KeySetReport, KeySets } from './jwks.ts';

export interface SecurityDeps {
  readonly settings: () => MeshSettings;
  readonly mesh: MeshView;
  /** Asks a service of the mesh, through the mesh. Rejects when there is no whole answer. */
  readonly ask: (request: ServiceRequest, signal: AbortSignal) => Promise<ServiceResponse>;
  /** `spiffe://…` of this waypoint. */
  readonly ownIdentity: string;
  readonly fetch: WebFetch;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface WaypointSecurity {
  /** Those that are fetched, without what is secret about them. */
  readonly keySets: () => readonly KeySetReport[];
  readonly authenticate: Authenticator['authenticate'];
  readonly bodyBytes: ExternalAuthorizer['bodyBytes'];
  readonly check: ExternalAuthorizer['check'];
  readonly ask: ExternalAuthorizer['ask'];
}

export function createSecurity(deps: SecurityDeps): WaypointSecurity {
  const { clock, log, settings, ask, ownIdentity } = deps;
  const fetch = documentFetcher({
    clock,
    fetch: deps.fetch,
    viaMesh: (url, maxBytes, signal) => {
      const service = serviceOf(deps.mesh, url, settings().rootNamespace);
      return service === undefined ? undefined : ask(documentRequest(service, url, maxBytes), signal);
    },
  });
  const failedKeys = (source: string, problem: string) =>
    log.warn('keys of an issuer cannot be had', { source, problem });
  const keySets = new KeySets({ fetch, clock, failed: failedKeys });
  const authenticator = new Authenticator(keySets, clock);
  const authorizer = new ExternalAuthorizer({
    settings,
    ask,
    ownIdentity: () => ownIdentity,
    clock,
    failed: (provider, problem) => log.warn('no answer of an authorizing service', { provider, problem }),
  });
  return {
    keySets: () => keySets.report(),
    authenticate: (policies, request) => authenticator.authenticate(policies, request),
    bodyBytes: (check) => authorizer.bodyBytes(check),
    check: (check, subject, body, signal) => authorizer.check(check, subject, body, signal),
    ask: (name, authorizing, subject, body, signal) =>
      authorizer.ask(name, authorizing, subject, body, signal),
  };
}

/**
 * The service of the mesh that an address in clear leads to, as a client of the root namespace would see it, so that nobody
 * puts a service of his own in the place of an issuer; `undefined`: somewhere else.
 */
function serviceOf(mesh: MeshView, { protocol, hostname }: URL, rootNamespace: string): string | undefined {
  if (protocol !== 'http:') return undefined;
  return chooseService(mesh.servicesByHostname(hostname), rootNamespace)?.key;
}

function documentRequest(service: string, url: URL, maxBytes: number): ServiceRequest {
  return {
    service,
    port: url.port === '' ? 80 : Number(url.port),
    version: '1.1',
    method: 'GET',
    authority: url.host,
    path: `${url.pathname}${url.search}`,
    fields: ['accept', 'application/json'],
    body: new Uint8Array(0),
    maxBytes: maxBytes + 1,
  };
}
