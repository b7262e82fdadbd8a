/** A StreamRoute from its message. */
import type {
  StreamBackend as StreamBackendMessage,
  StreamRoute as StreamRouteMessage,
  StreamRule as StreamRuleMessage,
} from '@ambit/api/waypoint';
import { atMost, nameOf, Problem } from '@ambit/model/decode/problem';
import { MAX_BACKENDS, MAX_PARTS, MAX_WEIGHT_SUM } from '../limits.ts';
import type { StreamBackend, StreamRoute, StreamRule } from '../stream-route.ts';
import { originOf, parentsOf, said, servicePortOf } from './read.ts';

/** @throws {@link Problem} */
export function streamRouteOf(name: string, message: StreamRouteMessage): StreamRoute {
  return {
    name,
    origin: originOf(message.origin),
    parents: parentsOf(message.parents),
    rules: atMost(message.rules, MAX_PARTS, 'rules').map(ruleOf),
    unreadable: said(message.unreadable),
    consumerNamespace: said(nameOf(message.consumerNamespace, 'consumerNamespace')),
  };
}

function ruleOf(message: StreamRuleMessage): StreamRule {
  const backends = atMost(message.backends, MAX_BACKENDS, 'backends').map(backendOf);
  const sum = backends.reduce((total, { weight }) => total + weight, 0);
  if (sum > MAX_WEIGHT_SUM) throw new Problem(`backends: weights add up to more than ${MAX_WEIGHT_SUM}`);
  const sniHosts = atMost(message.sniHosts, MAX_PARTS, 'sniHosts').map((host) =>
    nameOf(host, 'sniHosts').toLowerCase(),
  );
  return {
    name: nameOf(message.name, 'name'),
    sniHosts,
    tls: message.tls,
    sourceNamespace: said(nameOf(message.sourceNamespace, 'sourceNamespace')),
    backends,
  };
}

function backendOf({ target, weight, subset }: StreamBackendMessage): StreamBackend {
  switch (target?.$case) {
    case 'service': {
      const to = servicePortOf(target.value, 'backends');
      return { target: { kind: 'service', to, subset: nameOf(subset, 'subset') }, weight };
    }
    case 'closed':
      return { target: { kind: 'closed' }, weight };
    case undefined:
      throw new Problem('backends: one without a target');
    default:
      return target satisfies never;
  }
}
