/** The command lines of the control plane, and the network of the machine that it runs on. Pure. */
import { type LocalSettings, MAX_NODES, places } from './settings.ts';

const ETCD = 'http://127.0.0.1:2379';
const ETCD_PEER = 'http://127.0.0.1:2380';
const API_PORT = 6443;
/** By default controllers may ask 20 times a second, so a Deployment's first pods take seconds. */
const UNHURRIED = ['--kube-api-qps=300', '--kube-api-burst=600'];
export const BRIDGE = 'nodes';
/** By default a bridge has the lowest address of its ports, so it would change with a node, and be lost to all others. */
const BRIDGE_ADDRESS = '02:00:0a:59:00:01';

export const API_SERVER = 'kube-apiserver';

/** One network namespace for each cluster, so the ports are the usual ones. */
export function controlPlaneCommands(settings: LocalSettings): Readonly<Record<string, readonly string[]>> {
  const { pki } = places(settings);
  return {
    etcd: [
      `--data-dir=${places(settings).etcd}`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${ETCD}`,
      `--advertise-client-urls=${ETCD}`,
      `--listen-peer-urls=${ETCD_PEER}`,
      `--initial-advertise-peer-urls=${ETCD_PEER}`,
      `--initial-cluster=default=${ETCD_PEER}`,
      '--log-level=warn',
    ],
    [API_SERVER]: apiServerArguments(settings),
    'kube-controller-manager': [
      ...access(settings, 'controller-manager'),
      `--root-ca-file=${pki('ca.crt')}`,
      `--service-account-private-key-file=${pki('sa.key')}`,
      `--cluster-signing-cert-file=${pki('ca.crt')}`,
      `--cluster-signing-key-file=${pki('ca.key')}`,
      '--use-service-account-credentials=true',
      '--controllers=*,-cloud-node-lifecycle-controller',
      '--allocate-node-cidrs=false',
    ],
    'kube-scheduler': access(settings, 'scheduler'),
  };
}

function access(settings: LocalSettings, user: string): readonly string[] {
  const kubeconfig = places(settings).kubeconfig(user);
  const kinds = ['kubeconfig', 'authentication-kubeconfig', 'authorization-kubeconfig'];
  return [
    ...kinds.map((kind) => `--${kind}=${kubeconfig}`),
    '--secure-port=0',
    '--leader-elect=false',
    ...UNHURRIED,
  ];
}

/** Its graceful end takes over ten seconds and is never waited for. */
function apiServerArguments(settings: LocalSettings): readonly string[] {
  const { pki } = places(settings);
  const [primary] = settings.families;
  const issuer = 'https://kubernetes.default.svc.cluster.local';
  return [
    `--etcd-servers=${ETCD}`,
    `--bind-address=${settings.families.length > 1 ? '::' : primary.gateway}`,
    `--secure-port=${API_PORT}`,
    `--advertise-address=${primary.gateway}`,
    `--tls-cert-file=${pki('apiserver.crt')}`,
    `--tls-private-key-file=${pki('apiserver.key')}`,
    `--client-ca-file=${pki('ca.crt')}`,
    `--kubelet-certificate-authority=${pki('ca.crt')}`,
    `--kubelet-client-certificate=${pki('apiserver-kubelet-client.crt')}`,
    `--kubelet-client-key=${pki('apiserver-kubelet-client.key')}`,
    '--kubelet-preferred-address-types=InternalIP',
    `--service-account-issuer=${issuer}`,
    `--service-account-signing-key-file=${pki('sa.key')}`,
    `--service-account-key-file=${pki('sa.pub')}`,
    `--api-audiences=${issuer},kubernetes.default.svc`,
    `--requestheader-client-ca-file=${pki('ca.crt')}`,
    '--requestheader-allowed-names=front-proxy',
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    `--proxy-client-cert-file=${pki('front-proxy.crt')}`,
    `--proxy-client-key-file=${pki('front-proxy.key')}`,
    // It reaches webhooks by their endpoints: there is no kube-proxy beside it.
    '--enable-aggregator-routing=true',
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    `--service-cluster-ip-range=${settings.families.map(({ services }) => services).join(',')}`,
  ];
}

/** For `ip -batch` in the outer machine, once this machine's link has been put there as `outside`. */
export function outerNetwork({ families }: LocalSettings): readonly string[] {
  return [
    'link set lo up',
    `link add ${BRIDGE} address ${BRIDGE_ADDRESS} type bridge`,
    ...families.map(
      (family) => `addr add ${family.gateway}/${family.nodePrefixLength} dev ${BRIDGE}${noDad(family)}`,
    ),
    `link set ${BRIDGE} up`,
    `link set outside master ${BRIDGE} up`,
    ...families.flatMap((family) => routesToPods(family.node, family.nodePods, undefined)),
  ];
}

/** For `ip -batch` on this machine. */
export function outsideNetwork({ families, link }: LocalSettings): readonly string[] {
  return [
    ...families.map(
      (family) => `addr add ${family.outside}/${family.nodePrefixLength} dev ${link}${noDad(family)}`,
    ),
    `link set ${link} up`,
    ...families.map(({ pods, gateway }) => `route add ${pods} via ${gateway}`),
  ];
}

/** For `ip -batch` in a node, once its link has been put there as `eth0`. */
export function nodeNetwork({ families }: LocalSettings, number: number): readonly string[] {
  return [
    'link set lo up',
    ...families.map(
      (family) => `addr add ${family.node(number)}/${family.nodePrefixLength} dev eth0${noDad(family)}`,
    ),
    'link set eth0 up',
    ...families.map(({ gateway }) => `route add default via ${gateway}`),
    ...families.flatMap((family) => routesToPods(family.node, family.nodePods, number)),
  ];
}

/** To every node that may ever be: one that is not there is not answered for. */
function routesToPods(
  node: (number: number) => string,
  nodePods: (number: number) => string,
  except: number | undefined,
): readonly string[] {
  return Array.from({ length: MAX_NODES }, (_, index) => index + 1)
    .filter((number) => number !== except)
    .map((number) => `route add ${nodePods(number)} via ${node(number)}`);
}

/** Nobody else can have it, and waiting for that to be proved takes a second. */
function noDad({ family }: { readonly family: 4 | 6 }): string {
  return family === 6 ? ' nodad' : '';
}
