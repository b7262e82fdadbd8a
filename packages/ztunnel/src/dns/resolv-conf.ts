/** The resolvers of a `resolv.conf`. Search domains and options are the client's affair: questions come expanded. */
import { type Endpoint, parseIp } from '@ambit/core/ip';
import { MAX_NAMESERVERS } from './limits.ts';

const DNS_PORT = 53;

/** In order, at most as many as resolvers read; what is no address, or has a zone, is passed over. */
export function nameserversOf(resolvConf: string): readonly Endpoint[] {
  return resolvConf
    .split('\n')
    .flatMap((line) => {
      const ip = /^\s*nameserver\s+(\S+)/.exec(line)?.[1];
      const canonical = ip === undefined ? undefined : parseIp(ip);
      return canonical === undefined ? [] : [{ ip: canonical, port: DNS_PORT }];
    })
    .slice(0, MAX_NAMESERVERS);
}
