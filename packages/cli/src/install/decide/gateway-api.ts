/** Where the Gateway API comes from. It is its own project's to release, and the cluster's to install. */
export const GATEWAY_API_URL =
  'https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.6.3/experimental-install.yaml';
