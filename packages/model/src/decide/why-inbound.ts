/**
 * Why a connection that reached a workload is let through, or not: the server's half of why.ts.
 *
 * An identity that is asked about is assumed to be proved; whether a peer holds its certificate is not known here.
 */
import { type Endpoint, formatHostPort } from '@ambit/core/ip';
import type { MeshView } from '../mesh.ts';
import type { Policy } from '../policy.ts';
import type { Workload } from '../workload.ts';
import { type AuthorizeOptions, refusalOf, type Verdict } from './authorize.ts';
import { explainAuthorization, type AuthorizationTrace, type PolicyTrace } from './explain-authorization.ts';
import { decideInbound, decidePlaintext, type InboundDecision, type InboundOptions } from './inbound.ts';
import { type Explanation, explanation, type Step, step } from './why.ts';

export interface InboundQuestion {
  readonly local: Workload;
  /** `HBONE` arrives at 15008 and names `authority`; `TCP` was on its way to `destination`. */
  readonly protocol: 'HBONE' | 'TCP';
  readonly authority: string;
  readonly destination: Endpoint;
  readonly sourceIp: string;
  /** What the peer proves; `undefined` for plaintext. */
  readonly identity: string | undefined;
  readonly network: string;
}

export function explainInbound(
  mesh: MeshView,
  question: InboundQuestion,
  options: InboundOptions & AuthorizeOptions,
): Explanation {
  const decision = arrive(mesh, question, options);
  const first = [captureStep(question), endpointStep(decision), identityStep(question)];
  if (decision.kind === 'refuse') {
    return explanation('inbound', mesh, [...first, step('verdict', 'refused', decision.message)], undefined);
  }
  const identity = question.protocol === 'HBONE' ? question.identity : undefined;
  const request = { identity, sourceIp: question.sourceIp, destination: decision.to };
  const trace = explainAuthorization(mesh, question.local, request, options);
  return explanation(
    'inbound',
    mesh,
    [...first, policiesStep(mesh, trace), verdictStep(trace.verdict)],
    undefined,
  );
}

function arrive(mesh: MeshView, question: InboundQuestion, options: InboundOptions): InboundDecision {
  const { local, authority, destination, network } = question;
  if (question.protocol === 'TCP')
    return decidePlaintext(mesh, { local, originalDestination: destination }, options);
  const request = { local, connectedTo: destination, authority, forwardedHost: undefined, network };
  return decideInbound(mesh, request, options);
}

function captureStep({ local, protocol, authority, destination, sourceIp }: InboundQuestion): Step {
  const to = formatHostPort(destination.ip, destination.port);
  return protocol === 'HBONE'
    ? step(
        'capture',
        'passed',
        `${sourceIp} opens a tunnel to ${local.uid} at ${to} and asks for ${authority}`,
      )
    : step('capture', 'passed', `${sourceIp} connects in clear to ${local.uid} at ${to}`);
}

function endpointStep(decision: InboundDecision): Step {
  if (decision.kind === 'refuse') return step('endpoint', 'refused', decision.message);
  const { connectTo, proxyProtocolTarget, service } = decision;
  return step(
    'endpoint',
    'passed',
    `the application is connected to at ${formatHostPort(connectTo.ip, connectTo.port)}`,
    [
      ...(service ? [`as ${service.key}`] : []),
      ...(proxyProtocolTarget
        ? [
            `told by PROXY protocol that ${formatHostPort(proxyProtocolTarget.ip, proxyProtocolTarget.port)} was asked for`,
          ]
        : []),
    ],
  );
}

function identityStep({ protocol, identity }: InboundQuestion): Step {
  if (protocol === 'TCP') return step('identity', 'passed', 'plaintext: the client has no identity');
  return identity === undefined
    ? step('identity', 'refused', 'a tunnel without a client certificate is refused')
    : step('identity', 'passed', `the client proves ${identity}`);
}

function policiesStep(mesh: MeshView, trace: AuthorizationTrace): Step {
  const count = trace.policies.length;
  const says =
    count === 0
      ? 'no policy binds the workload'
      : `${count} ${count === 1 ? 'policy binds' : 'policies bind'} the workload`;
  const refused = trace.verdict.kind !== 'allow';
  return step('policies', refused ? 'refused' : 'passed', says, [
    ...trace.policies.flatMap((policy) => policyDetails(policy, mesh.policyByKey(policy.policy))),
    ...trace.missing.map((key) => `${key}: named by the workload, and not here`),
    ...dryRunDetails(trace),
  ]);
}

function policyDetails(trace: PolicyTrace, policy: Policy | undefined): readonly string[] {
  const head = `${trace.policy} (${trace.action}, ${trace.scope}${trace.dryRun ? ', dry run' : ''})`;
  if (trace.matchedRule !== undefined) return [`${head}: rule ${trace.matchedRule} matches`];
  if (policy?.rules.length === 0) return [`${head}: has no rules, so it never matches`];
  return trace.failures.map(({ rule, clause, failed }) => {
    return `${head}: rule ${rule} fails at clause ${clause}: ${[...new Set(failed)].join(', ') || 'no alternatives'}`;
  });
}

function dryRunDetails({ verdict, dryRunVerdict }: AuthorizationTrace): readonly string[] {
  if (dryRunVerdict === undefined || dryRunVerdict.kind === verdict.kind) return [];
  return [`with the dry-run policies enforced: ${refusalOf(dryRunVerdict) ?? 'allowed'}`];
}

function verdictStep(verdict: Verdict): Step {
  const refusal = refusalOf(verdict);
  if (refusal !== undefined) return step('verdict', 'refused', refusal);
  const by = verdict.kind === 'allow' ? verdict.by : undefined;
  return step(
    'verdict',
    'passed',
    by === undefined ? 'allowed, since no allow policy binds the workload' : `allowed by ${by}`,
  );
}
