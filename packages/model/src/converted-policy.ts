/**
 * Under which names PeerAuthentications reach a ztunnel: it knows policies alone, so istiod converts them to some.
 *
 * The names are Istio's. Each has an underscore, which no name of Kubernetes has: no AuthorizationPolicy is ever taken
 * for one of them.
 */

/** In the root namespace: the one policy that all workloads name whose mode is STRICT on every port. */
export const STRICT_POLICY_NAME = 'istio_converted_static_strict';

/** Before the name of a PeerAuthentication that has exceptions by port; in its own namespace. */
export const CONVERTED_POLICY_PREFIX = 'converted_peer_authentication_';
