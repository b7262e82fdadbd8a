/**
 * `/debug/why`: what would become of a connection, by the same decisions that connections meet, on what this proxy holds.
 *
 * It answers both halves, the way out of the source and the way into the destination, and says which of the two pods this
 * proxy serves; whoever asks joins the halves of the two proxies. Nothing is connected and nothing changes.
 */
import type { HttpResponse } from '@ambit/core/http-server';
import { type Endpoint, formatHostPort, parseIp } from '@ambit/core/ip';
import type { CertificateState } from '@ambit/identity/certificate-store';
import { decideInbound, decidePlaintext, type InboundDecision } from '@ambit/model/decide/inbound';
import { refusalOf } from '@ambit/model/decide/authorize';
import { type AuthorizationTrace, explainAuthorization } from '@ambit/model/decide/explain-authorization';
import { decideDnsAnswer } from '@ambit/model/dns-answer';
import { type Route, type RouteDecision, type RouteRequest, selectRoute } from '@ambit/model/decide/route';
import { type Explanation, explainOutbound } from '@ambit/model/decide/why';
import type { MeshStore } from '@ambit/model/store';
import type { Workload } from '@ambit/model/workload';
import { sortedJson } from '@ambit/core/admin/sorted-json';

export interface WhyOptions {
  readonly network: string;
  readonly clusterDomain: string;
  readonly nodeName: string;
  readonly version: string;
  readonly illegalPorts: ReadonlySet<number>;
  readonly localhostApplicationTunnel: boolean;
  readonly missingPolicy: 'refuse' | 'ignore';
}

export interface WhySources {
  readonly mesh: MeshStore;
  readonly serves: (workload: Workload) => boolean;
  readonly certificate: (identity: string) => CertificateState | undefined;
  readonly options: WhyOptions;
}

/** `ok`: goes on. `refuse`: ends here. `unknown`: this proxy cannot say. */
export type StepOutcome = 'ok' | 'refuse' | 'unknown';

export interface Step {
  readonly step: 'source' | 'name' | 'route' | 'certificate' | 'waypoint' | 'inbound' | 'authorization';
  readonly outcome: StepOutcome;
  /** For people. */
  readonly message: string;
  readonly detail?: unknown;
}

export interface WhyAnswer {
  readonly proxy: { readonly node: string; readonly version: string; readonly meshVersion: number };
  readonly source:
    | { readonly workload: string; readonly identity: string; readonly served: boolean }
    | undefined;
  readonly destination:
    | { readonly workload: string; readonly address: string; readonly served: boolean }
    | undefined;
  readonly outbound: readonly Step[];
  readonly inbound: readonly Step[];
}

export function handleWhy(query: URLSearchParams, sources: WhySources): HttpResponse {
  const destination = query.get('destination') ?? '';
  const [namespace = '', pod = '', ...rest] = (query.get('source') ?? '').split('/');
  const match = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(destination);
  const port = Number(match?.[3]);
  const inClear = query.get('captured') === 'false';
  const named = namespace !== '' && pod !== '' && rest.length === 0;
  if ((!named && !inClear) || !match || port < 1 || port > 65_535) {
    const body = 'want source=NAMESPACE/POD and destination=HOST-OR-IP:PORT\n';
    return { status: 400, body };
  }
  const host = match[1] ?? match[2] ?? '';
  const question = { namespace, pod, host, port, sourceIp: query.get('sourceIp') ?? undefined };
  const answer = inClear ? whyInClear(question, sources) : why(question, sources);
  return { status: 200, headers: { 'content-type': 'application/json' }, body: `${sortedJson(answer)}\n` };
}

interface Question {
  readonly namespace: string;
  readonly pod: string;
  readonly host: string;
  readonly port: number;
  readonly sourceIp: string | undefined;
}

export function why(question: Question, sources: WhySources): WhyAnswer {
  const { mesh, serves, options } = sources;
  const outbound: Step[] = [];
  const inbound: Step[] = [];
  const proxy = { node: options.nodeName, version: options.version, meshVersion: mesh.version };
  const source = findPod(mesh, question);
  if (!source) {
    const message = `no workload ${question.namespace}/${question.pod} is known`;
    outbound.push({ step: 'source', outcome: 'unknown', message });
    return { proxy, source: undefined, destination: undefined, outbound, inbound };
  }
  outbound.push(sourceStep(source, serves(source)));
  const about = { workload: source.uid, identity: source.identity, served: serves(source) };
  const target = targetOf(question, source, sources, outbound);
  const request = target && routeRequest(source, target, question, sources);
  const decision =
    request && selectRoute(mesh, request, { random: () => 0, illegalPorts: options.illegalPorts });
  if (decision) outbound.push(routeStep(decision, explainOutbound(mesh, request, options).steps));
  if (decision?.kind !== 'route') return { proxy, source: about, destination: undefined, outbound, inbound };
  if (decision.protocol !== 'TCP') outbound.push(certificateStep(source, sources));
  const local = decision.workload;
  if (local) inbound.push(...inboundSteps(source, local, decision, question, sources));
  const address = formatHostPort(decision.destination.ip, decision.destination.port);
  const destination = local && { workload: local.uid, address, served: serves(local) };
  return { proxy, source: about, destination, outbound, inbound };
}

/** The way in alone, of a connection that no proxy captured at its source: it arrives in clear and proves nothing. */
function whyInClear({ host, port, sourceIp = '' }: Question, sources: WhySources): WhyAnswer {
  const { mesh, serves, options } = sources;
  const proxy = { node: options.nodeName, version: options.version, meshVersion: mesh.version };
  const ip = parseIp(host);
  const local = ip === undefined ? undefined : mesh.workloadAt(options.network, ip);
  if (ip === undefined || !local) {
    const message = `no workload with address ${host} is known`;
    return {
      proxy,
      source: undefined,
      destination: undefined,
      outbound: [],
      inbound: [{ step: 'inbound', outcome: 'unknown', message }],
    };
  }
  const to = { ip, port };
  const decision = decidePlaintext(mesh, { local, originalDestination: to }, options);
  const inbound: Step[] = [inboundStep(decision)];
  if (decision.kind === 'accept') {
    const request = { identity: undefined, sourceIp, destination: decision.to };
    inbound.push(authorizationStep(local, explainAuthorization(mesh, local, request, options)));
  }
  const destination = { workload: local.uid, address: formatHostPort(ip, port), served: serves(local) };
  return { proxy, source: undefined, destination, outbound: [], inbound };
}

function findPod(mesh: MeshStore, { namespace, pod }: Question): Workload | undefined {
  for (const workload of mesh.workloads()) {
    if (workload.namespace === namespace && workload.name === pod) return workload;
  }
  return undefined;
}

function sourceStep(source: Workload, served: boolean): Step {
  const where = served
    ? 'this proxy serves it'
    : `on node ${source.node || '(unknown)'}; this proxy does not serve it`;
  return {
    step: 'source',
    outcome: 'ok',
    message: `${source.namespace}/${source.name} is ${source.identity}; ${where}`,
  };
}

/** The address that the application would connect to: as given, or as DNS would answer. */
function targetOf(
  { host, port }: Question,
  source: Workload,
  { mesh, options }: WhySources,
  steps: Step[],
): Endpoint | undefined {
  const ip = parseIp(host);
  if (ip !== undefined) return { ip, port };
  const dns = { clusterDomain: options.clusterDomain, preferredNamespace: '', ipv6: true };
  const name = host.toLowerCase().replace(/\.$/, '');
  const [answer, ipv6] = [4 as const, 6 as const].map((family) =>
    decideDnsAnswer(mesh, source, name, family, dns),
  );
  if (answer?.kind !== 'answer') {
    steps.push({
      step: 'name',
      outcome: 'unknown',
      message: `${host}: not the name of a service in the mesh`,
    });
    return undefined;
  }
  const { key } = answer.service;
  const address = answer.ips[0] ?? (ipv6?.kind === 'answer' ? ipv6.ips[0] : undefined);
  if (address === undefined) {
    const message = `${host}: service ${key} has no address here`;
    steps.push({ step: 'name', outcome: 'unknown', message });
    return undefined;
  }
  steps.push({ step: 'name', outcome: 'ok', message: `${host} is service ${key} at ${address}` });
  return { ip: address, port };
}

function routeRequest(
  source: Workload,
  target: Endpoint,
  question: Question,
  { options }: WhySources,
): RouteRequest {
  return {
    source,
    sourceIp: question.sourceIp ?? source.addresses[0] ?? '',
    target,
    network: options.network,
  };
}

/** @param explained - The same decision, told by the model step by step. */
function routeStep(decision: RouteDecision, explained: Explanation['steps']): Step {
  if (decision.kind === 'refuse') {
    const { message, reason } = decision;
    return { step: 'route', outcome: 'refuse', message, detail: { reason, explained } };
  }
  if (decision.kind === 'resolve') {
    const message = `${decision.hostname} must be resolved by DNS first`;
    return { step: 'route', outcome: 'unknown', message, detail: { explained } };
  }
  const { via, protocol, to, authority, expectedIdentities, innerIdentities, service, workload } = decision;
  const detail = {
    via,
    protocol,
    to: formatHostPort(to.ip, to.port),
    authority,
    expectedIdentities,
    innerIdentities,
    service: service?.key,
    workload: workload?.uid,
    explained,
  };
  return { step: 'route', outcome: 'ok', message: routeText(decision), detail };
}

function routeText({ via, protocol, to, authority }: Route): string {
  const hop = formatHostPort(to.ip, to.port);
  if (via === 'passthrough') return `nothing in the mesh has this address: passed through in clear to ${hop}`;
  return protocol === 'TCP' ? `in clear to ${hop}` : `${via}, ${protocol} to ${hop} for ${authority}`;
}

function certificateStep(source: Workload, { serves, certificate }: WhySources): Step {
  const state = certificate(source.identity)?.state;
  if (state === undefined && !serves(source)) {
    return {
      step: 'certificate',
      outcome: 'unknown',
      message: `${source.identity} is not this proxy's to prove`,
    };
  }
  const outcome = state === 'Available' ? 'ok' : state?.startsWith('Unavailable') ? 'refuse' : 'unknown';
  return { step: 'certificate', outcome, message: `${source.identity}: ${state ?? 'not asked for yet'}` };
}

function inboundSteps(
  source: Workload,
  local: Workload,
  route: Route,
  question: Question,
  { mesh, options }: WhySources,
): readonly Step[] {
  if (route.via === 'gateway') {
    return [
      {
        step: 'inbound',
        outcome: 'unknown',
        message: 'the gateway of the other network decides what comes next',
      },
    ];
  }
  const decision = inboundDecision(local, route, mesh, options);
  const steps: Step[] = [inboundStep(decision)];
  if (decision.kind !== 'accept') return steps;
  const trace = explainAuthorization(
    mesh,
    local,
    {
      identity: route.protocol === 'TCP' ? undefined : source.identity,
      sourceIp: question.sourceIp ?? source.addresses[0] ?? '',
      destination: decision.to,
    },
    { missingPolicy: options.missingPolicy },
  );
  steps.push(authorizationStep(local, trace));
  if (route.via === 'waypoint') {
    const message = `waypoint ${local.namespace}/${local.name} decides what comes next`;
    steps.push({ step: 'waypoint', outcome: 'unknown', message });
  }
  return steps;
}

function inboundDecision(
  local: Workload,
  route: Route,
  mesh: MeshStore,
  options: WhyOptions,
): InboundDecision {
  if (route.protocol === 'TCP')
    return decidePlaintext(mesh, { local, originalDestination: route.to }, options);
  const { network } = options;
  const request = {
    local,
    connectedTo: route.to,
    authority: route.authority,
    forwardedHost: undefined,
    network,
  };
  return decideInbound(mesh, request, options);
}

function inboundStep(decision: InboundDecision): Step {
  if (decision.kind === 'refuse') {
    const { message, reason, status } = decision;
    return { step: 'inbound', outcome: 'refuse', message, detail: { reason, status } };
  }
  const { to, connectTo } = decision;
  const application = formatHostPort(connectTo.ip, connectTo.port);
  const detail = { to: formatHostPort(to.ip, to.port), connectTo: application };
  return { step: 'inbound', outcome: 'ok', message: `connects to the application at ${application}`, detail };
}

function authorizationStep(local: Workload, trace: AuthorizationTrace): Step {
  const refusal = refusalOf(trace.verdict);
  if (refusal !== undefined)
    return { step: 'authorization', outcome: 'refuse', message: refusal, detail: trace };
  const by = trace.verdict.kind === 'allow' ? trace.verdict.by : undefined;
  const message =
    by === undefined ? `no allow policy binds ${local.namespace}/${local.name}` : `allowed by ${by}`;
  return { step: 'authorization', outcome: 'ok', message, detail: trace };
}
