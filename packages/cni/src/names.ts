/** Names of Istio that plugin, agent and installer share: files, labels, annotations. */

export const PLUGIN_TYPE = 'istio-cni';
export const AGENT_DAEMON_SET = 'istio-cni-node';
export const DEFAULT_RUN_DIRECTORY = '/var/run/istio-cni';
export const EVENT_SOCKET = 'pluginevent.sock';
/** Ours: what the plugin goes by when the agent does not answer. */
export const NODE_FILE = 'ambit-node.json';
/** Ours: the namespaces of this node's pods, as the plugin reported them. */
export const PODS_FILE = 'ambit-pods.json';

export const DATAPLANE_MODE_LABEL = 'istio.io/dataplane-mode';
export const REDIRECTION_ANNOTATION = 'ambient.istio.io/redirection';
export const SIDECAR_STATUS_ANNOTATION = 'sidecar.istio.io/status';
export const BYPASS_INBOUND_ANNOTATION = 'ambient.istio.io/bypass-inbound-capture';
export const DNS_CAPTURE_ANNOTATION = 'ambient.istio.io/dns-capture';
export const VIRTUAL_INTERFACES_ANNOTATION = 'istio.io/reroute-virtual-interfaces';
