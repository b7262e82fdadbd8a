/** What waypoints are told of this control plane, from its own configuration. */
import type { Config } from '../config.ts';
import { revisionName } from './decide/management.ts';
import type { RenderSettings } from './decide/render.ts';

const CONTROL_PLANE_PORT = 15_012;

/** @param version - Of this control plane, whose waypoints are of the same. */
export function renderSettings(config: Config, version: string): Omit<RenderSettings, 'network'> {
  const { namespace, revision, domain, audience, waypointImage, waypointPod: pod } = config;
  const service = revisionName(revision) === 'default' ? 'istiod' : `istiod-${revision}`;
  return {
    image: waypointImage ?? `ambit/waypoint:${version}`,
    pod,
    revision,
    clusterId: config.clusterId,
    trustDomain: config.trustDomain,
    domain,
    controlPlane: `https://${service}.${namespace}.svc:${CONTROL_PLANE_PORT}`,
    rootConfigMap: config.rootConfigMap,
    audience: audience.split(',')[0] ?? '',
  };
}
