/** Asking the proxies on the way what they would do. One that cannot be asked is a problem in words, never an exception. */
import { messageOf } from '@ambit/core/errors';
import type { Pod } from '@ambit/kube/resources/core';
import { peerAuthentications } from '@ambit/kube/resources/security';
import type { Context } from '../context.ts';
import { ProxyError } from '../errors.ts';
import { proxyPage } from '../proxy-page.ts';
import { policiesOf, readWhy } from './answer.ts';
import type { Asked, Findings, WaypointHop } from './explanation.ts';
import { isStrictPolicy, strictByOf } from './peer-authentication.ts';
import { readWaypointWhy } from './waypoint-answer.ts';

export async function askZtunnel(
  { ztunnels }: Context,
  node: string,
  query: URLSearchParams,
): Promise<Asked> {
  try {
    const ztunnel = await ztunnels.ofNode(node);
    const answer = await ztunnels.page(ztunnel, `/debug/why?${query.toString()}`);
    if (answer === undefined)
      throw new ProxyError(
        `ztunnel ${ztunnel.namespace}/${ztunnel.pod} cannot say why: it has no /debug/why`,
      );
    return { node, answer: readWhy(answer) };
  } catch (error) {
    return { node, problem: messageOf(error) };
  }
}

/** The rules themselves, to say what a clause wants; an explanation without them is poorer, not wrong. */
export async function heldPolicies({ ztunnels }: Context, asked: Asked): Promise<Findings['policies']> {
  if (!('answer' in asked) || !asked.answer.inbound.some(({ step }) => step === 'authorization')) return [];
  try {
    return (await ztunnels.configDump(await ztunnels.ofNode(asked.node))).policies;
  } catch {
    return [];
  }
}

/** Which PeerAuthentication makes the pod STRICT, if its proxy says that it is; an explanation without it is poorer, not wrong. */
export async function strictBy(
  { client, signal }: Context,
  asked: Asked,
  pod: Pod,
): Promise<string | undefined> {
  const steps = 'answer' in asked ? asked.answer.inbound : [];
  const key = steps.flatMap(policiesOf).find(({ policy }) => isStrictPolicy(policy))?.policy;
  const [rootNamespace] = key?.split('/') ?? [];
  if (rootNamespace === undefined) return undefined;
  const places = [...new Set([pod.metadata.namespace ?? '', rootNamespace])];
  try {
    const lists = await Promise.all(
      places.map((namespace) => client.list(peerAuthentications, { namespace }, signal)),
    );
    return strictByOf(
      pod,
      lists.flatMap(({ items }) => items),
      rootNamespace,
    );
  } catch {
    return undefined;
  }
}

export async function askWaypoint(
  context: Context,
  at: { readonly namespace: string; readonly name: string },
  query: URLSearchParams,
): Promise<WaypointHop['asked']> {
  try {
    const answer = await proxyPage(context, 'waypoint', at, `/debug/why?${query.toString()}`);
    if (answer !== undefined) return readWaypointWhy(answer);
    throw new ProxyError(`waypoint ${at.namespace}/${at.name} cannot say why: it has no /debug/why`);
  } catch (error) {
    return { problem: messageOf(error) };
  }
}
