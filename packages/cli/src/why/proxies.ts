/** Asking the proxies on the way what they would do. One that cannot be asked is a problem in words, never an exception. */
import { messageOf } from '@ambit/core/errors';
import type { Context } from '../context.ts';
import { ProxyError } from '../errors.ts';
import { proxyPage } from '../proxy-page.ts';
import { readWhy } from './answer.ts';
import type { Asked, Findings, WaypointHop } from './explanation.ts';
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
