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
  if (appProtocol) return BY_STANDARD_NAME[appProtocol] ?? byWord(appProtocol) ?? AppProtocol.UNKNOWN;
  if (name.toLowerCase().startsWith('grpc-web')) return AppProtocol.UNKNOWN;
  const named = byWord(name.split('-')[0] ?? '');
  return named ?? (SERVER_FIRST_PORTS.has(port) ? AppProtocol.TCP : AppProtocol.UNKNOWN);
}

function byWord(word: string): AppProtocol | undefined {
  const known = word.toLowerCase();
  return Object.hasOwn(BY_WORD, known) ? BY_WORD[known] : undefined;
}
