/** What Envoy is told to be the same proxy: in clear, or with HBONE at both ends as Istio configures it for a waypoint. */
import { SERVICE_PORT, SERVICES } from './names.ts';
import type { EnvoyRules } from './rules.ts';

const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const type = (name: string) => ({ '@type': `type.googleapis.com/${name}` });
const address = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });
const VERSIONS = ['1.1', '2'] as const;
type Version = (typeof VERSIONS)[number];

export interface PlainPorts {
  readonly listen: Readonly<Record<Version, number>>;
  readonly backend: number;
}

/** A listener and a cluster for each version that the backend speaks. */
export function plainEnvoy({ listen, backend }: PlainPorts): object {
  return bootstrap(
    VERSIONS.map((version) => ({
      name: `listener-${version}`,
      address: address(listen[version]),
      filter_chains: [{ filters: [manager(`app-${version}`)] }],
    })),
    VERSIONS.map((version) => cluster(`app-${version}`, version, address(backend))),
  );
}

export interface HboneProxy {
  readonly listen: number;
  /** Where the endpoint's ztunnel takes tunnels. */
  readonly hbone: number;
  readonly backend: number;
  /** Enforced on every request. */
  readonly rules: EnvoyRules | undefined;
}

export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  readonly roots: string;
}

/** CONNECT ended here, HTTP decided upon, CONNECT begun again: three listeners, two of them internal. */
export function hboneEnvoy({ listen, hbone, backend, rules }: HboneProxy, tls: TlsFiles): object {
  const common = {
    alpn_protocols: ['h2'],
    tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
    tls_certificates: [
      { certificate_chain: { filename: tls.certificate }, private_key: { filename: tls.key } },
    ],
    validation_context: { trusted_ca: { filename: tls.roots } },
  };
  const terminate = {
    name: 'connect_terminate',
    address: address(listen),
    filter_chains: [
      {
        transport_socket: {
          name: 'tls',
          typed_config: {
            ...type('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
            require_client_certificate: true,
            common_tls_context: common,
          },
        },
        filters: [
          {
            name: 'hcm',
            typed_config: {
              ...type(HCM),
              stat_prefix: 'terminate',
              codec_type: 'HTTP2',
              http2_protocol_options: { allow_connect: true, max_concurrent_streams: 1_000 },
              upgrade_configs: [{ upgrade_type: 'CONNECT' }],
              route_config: {
                virtual_hosts: VERSIONS.map((version) => ({
                  name: version,
                  domains: [`${SERVICES[version].vip}:${SERVICE_PORT}`],
                  routes: [
                    {
                      match: { connect_matcher: {} },
                      route: {
                        cluster: `main-${version}`,
                        upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: {} }],
                        timeout: '0s',
                      },
                    },
                  ],
                })),
              },
              http_filters: [...(rules?.atTunnel ?? []), router()],
            },
          },
        ],
      },
    ],
  };
  const main = VERSIONS.map((version) => ({
    name: `main-${version}`,
    internal_listener: {},
    filter_chains: [{ filters: [manager(`app-${version}`, rules?.atRequest)] }],
  }));
  const originate = {
    name: 'connect_originate',
    internal_listener: {},
    filter_chains: [
      {
        filters: [
          {
            name: 'tcp_proxy',
            typed_config: {
              ...type('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
              stat_prefix: 'originate',
              cluster: 'hbone',
              tunneling_config: { hostname: `127.0.0.1:${backend}` },
            },
          },
        ],
      },
    ],
  };
  const toEndpoint = {
    ...cluster('hbone', '2', address(hbone)),
    transport_socket: {
      name: 'tls',
      typed_config: {
        ...type('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
        common_tls_context: common,
      },
    },
  };
  const internal = (name: string, version: Version, listener: string) => ({
    ...cluster(name, version, { envoy_internal_address: { server_listener_name: listener } }),
    transport_socket: {
      name: 'internal',
      typed_config: {
        ...type('envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport'),
        transport_socket: {
          name: 'raw',
          typed_config: type('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer'),
        },
      },
    },
  });
  return {
    ...bootstrap(
      [terminate, ...main, originate],
      [
        ...VERSIONS.map((version) => internal(`main-${version}`, '1.1', `main-${version}`)),
        ...VERSIONS.map((version) => internal(`app-${version}`, version, 'connect_originate')),
        toEndpoint,
      ],
    ),
    bootstrap_extensions: [
      {
        name: 'envoy.bootstrap.internal_listener',
        typed_config: type('envoy.extensions.bootstrap.internal_listener.v3.InternalListener'),
      },
    ],
  };
}

function bootstrap(listeners: readonly object[], clusters: readonly object[]): object {
  return { static_resources: { listeners, clusters } };
}

function router(): object {
  return { name: 'router', typed_config: type('envoy.extensions.filters.http.router.v3.Router') };
}

/** Everything to one cluster. */
function manager(toCluster: string, filters: readonly object[] = []): object {
  return {
    name: 'hcm',
    typed_config: {
      ...type(HCM),
      stat_prefix: toCluster,
      codec_type: 'AUTO',
      http2_protocol_options: { max_concurrent_streams: 1_000 },
      route_config: {
        virtual_hosts: [
          {
            name: 'all',
            domains: ['*'],
            routes: [{ match: { prefix: '/' }, route: { cluster: toCluster, timeout: '15s' } }],
          },
        ],
      },
      http_filters: [...filters, router()],
    },
  };
}

function cluster(name: string, version: Version, to: object): object {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    circuit_breakers: {
      thresholds: [{ max_connections: 10_000, max_pending_requests: 10_000, max_requests: 10_000 }],
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: to } }] }],
    },
    ...(version === '2'
      ? {
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              ...type('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
              explicit_http_config: { http2_protocol_options: { max_concurrent_streams: 1_000 } },
            },
          },
        }
      : {}),
  };
}
