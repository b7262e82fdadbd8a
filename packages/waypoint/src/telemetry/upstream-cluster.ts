/** The name that Istio's waypoints give to where a request goes, in logs and spans. Pure. */
import type { ConnectionRecord, RequestRecord } from './record.ts';

/** `inbound-vip|PORT|PROTOCOL|HOSTNAME`; '' when no endpoint was asked for. */
export function clusterNameOf(record: RequestRecord | ConnectionRecord): string {
  const { service, servicePort } = record;
  if (!service) return '';
  return `inbound-vip|${servicePort}|${'request' in record ? 'http' : 'tcp'}|${service.hostname}`;
}
