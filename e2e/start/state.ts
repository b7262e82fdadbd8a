/** What a control plane tells of the cluster that scale/population.ts describes: as many resources, with as many bytes, as istiod. */
import {
  AppProtocol,
  createService,
  createWorkload,
  encodeAddress,
  TunnelProtocol,
} from '@ambit/api/workload';
import { CLUSTER_ID, pod, podStatus, service, type Size, workloadName } from '../scale/population.ts';

const HTTP = [{ servicePort: 80, targetPort: 8_080, appProtocol: AppProtocol.UNKNOWN }];

/** Address resources by name. */
export function stateOf(size: Size): Readonly<Record<string, Uint8Array>> {
  const services = Array.from({ length: size.services }, (_, i) => {
    const { namespace = '', name } = service(i, size).metadata;
    const hostname = `${name}.${namespace}.svc.cluster.local`;
    const addresses = [{ network: '', address: Uint8Array.of(10, 96, i >> 8, i & 255), length: undefined }];
    const value = createService({ name, namespace, hostname, addresses, ports: HTTP });
    return [`${namespace}/${hostname}`, encodeAddress({ type: { $case: 'service', value } })] as const;
  });
  const workloads = Array.from({ length: size.pods }, (_, i) => {
    const { metadata, spec } = pod(i, size);
    const { name, namespace = '', labels } = metadata;
    const app = labels?.['app'] ?? '';
    const value = createWorkload({
      uid: workloadName(i, size),
      name,
      namespace,
      addresses: [Uint8Array.from((podStatus(i).podIP ?? '').split('.'), Number)],
      tunnelProtocol: TunnelProtocol.HBONE,
      trustDomain: 'cluster.local',
      node: spec?.nodeName ?? '',
      canonicalName: app,
      canonicalRevision: labels?.['app.kubernetes.io/version'] ?? '',
      workloadName: app,
      clusterId: CLUSTER_ID,
      services: new Map([[`${namespace}/${app}.${namespace}.svc.cluster.local`, { ports: HTTP }]]),
      locality: { region: 'region-1', zone: `zone-${(i % size.nodes) % 3}`, subzone: '' },
    });
    return [value.uid, encodeAddress({ type: { $case: 'workload', value } })] as const;
  });
  return Object.fromEntries([...services, ...workloads]);
}
