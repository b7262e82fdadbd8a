/** How a workload is reached: in a tunnel that its node's proxy ends, in one that it ends itself, or in clear. Pure. */
import { TunnelProtocol } from '@ambit/api/workload';
import type { Labels } from '@ambit/kube/label-selector';

const REDIRECTION_ANNOTATION = 'ambient.istio.io/redirection';
const TUNNEL_LABEL = 'networking.istio.io/tunnel';

export interface Tunnel {
  readonly tunnelProtocol: TunnelProtocol;
  readonly nativeTunnel: boolean;
}

export interface Tunnelled {
  readonly labels?: Labels | undefined;
  readonly annotations?: Labels | undefined;
}

export function tunnelOf({ labels, annotations }: Tunnelled): Tunnel {
  const nativeTunnel = (labels?.[TUNNEL_LABEL] ?? '').includes('http');
  const captured = annotations?.[REDIRECTION_ANNOTATION] === 'enabled';
  return {
    tunnelProtocol: captured || nativeTunnel ? TunnelProtocol.HBONE : TunnelProtocol.NONE,
    nativeTunnel,
  };
}
