/** What a service port speaks, from its appProtocol or from the first word of its name, as Istio reads them. */
import { AppProtocol } from '@ambit/api/workload';
import type { ServicePort } from '@ambit/kube/resources/core';

const BY_WORD: Readonly<Record<string, AppProtocol>> = {
  http: AppProtocol.HTTP11,
  http2: AppProtocol.HTTP2,
  grpc: AppProtocol.GRPC,
  https: AppProtocol.TLS,
  tls: AppProtocol.TLS,
  tcp: AppProtocol.TCP,
};

/** Kubernetes' own values of appProtocol. */
const BY_STANDARD_NAME: Readonly<Record<string, AppProtocol>> = {
  'kubernetes.io/h2c': AppProtocol.HTTP2,
  'kubernetes.io/ws': AppProtocol.HTTP11,
  'kubernetes.io/wss': AppProtocol.TLS,
};

/** SMTP, DNS, MySQL and MongoDB: the server speaks first, so nobody may look for HTTP there. */
const SERVER_FIRST_PORTS: ReadonlySet<number> = new Set([25, 53, 3306, 27_017]);

export function appProtocolOf({ name = '', port, protocol = 'TCP', appProtocol }: ServicePort): AppProtocol {
  if (protocol !== 'TCP') return AppProtocol.UNKNOWN;
  if (appProtocol && Object.hasOwn(BY_STANDARD_NAME, appProtocol))
    return BY_STANDARD_NAME[appProtocol] ?? AppProtocol.UNKNOWN;
  const said = (appProtocol || name).toLowerCase();
  const word = said.startsWith('grpc-web') ? 'grpc-web' : (said.split('-')[0] ?? '');
  // A word that means something settles it, also where that is no protocol of the wire.
  if (isProtocol(word)) return protocolNamed(word);
  return SERVER_FIRST_PORTS.has(port) ? AppProtocol.TCP : AppProtocol.UNKNOWN;
}

/** Words that Istio knows as protocols and the wire does not. */
const OTHERS: ReadonlySet<string> = new Set(['udp', 'grpc-web', 'http_proxy', 'mongo', 'redis', 'mysql']);

/** Whether Istio knows the word, in any case, as a protocol. */
export function isProtocol(word: string): boolean {
  const known = word.toLowerCase();
  return OTHERS.has(known) || Object.hasOwn(BY_WORD, known);
}

/** The protocol by its name alone, in any case, as a ServiceEntry gives it. */
export function protocolNamed(word: string): AppProtocol {
  const known = word.toLowerCase();
  return (Object.hasOwn(BY_WORD, known) ? BY_WORD[known] : undefined) ?? AppProtocol.UNKNOWN;
}
