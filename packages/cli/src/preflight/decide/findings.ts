/**
 * What follows from the facts of a cluster: findings, each with what to do about it.
 *
 * An error keeps the mesh from working there; a warning is what users have met trouble with; a note is good to know.
 */
import { MIN_KUBERNETES } from '../../install/decide/checks.ts';
import { GATEWAY_API_URL } from '../../install/decide/gateway-api.ts';
import { compareVersions, minorsAhead } from '../../install/decide/version.ts';
import {
  type ClusterFacts,
  type NodeView,
  type PreflightFacts,
  type Probe,
  TOLD_NOT_TO_PROBE,
} from './facts.ts';
import { closedToMesh } from './network-policy.ts';

export interface Finding {
  readonly severity: 'error' | 'warning' | 'note';
  /** `cluster`, or the node's name. */
  readonly where: string;
  /** Stable, for programs. */
  readonly check: string;
  readonly text: string;
  /** Empty: nothing to do. */
  readonly fix: string;
}

/** Node.js runs on no older one. */
const MIN_KERNEL = '4.18.0';
/** Older kubelets than the API server, in minor versions, as Kubernetes supports them. */
const MAX_KUBELET_SKEW = 3;
const CLOCK_WARNING_MS = 5_000;
/** Certificates are valid from a little before they are made; beyond this they are not yet. */
const CLOCK_ERROR_MS = 60_000;

export function findingsOf(facts: PreflightFacts): readonly Finding[] {
  const { cluster, nodes, notProbed, defaultHub } = facts;
  const all = [
    ...clusterFindings(cluster),
    ...(cluster.cilium ? ciliumFindings(cluster.cilium) : []),
    ...policyFindings(cluster),
    ...tagFindings(cluster),
    ...namespaceFindings(cluster),
    ...(notProbed === undefined
      ? []
      : [
          (notProbed === TOLD_NOT_TO_PROBE ? note : warning)(
            'cluster',
            'probe',
            `nodes were not looked at from inside: ${notProbed}`,
            'for that, run this as somebody who may create namespaces and DaemonSets, without --no-probe',
          ),
        ]),
    ...(defaultHub && cluster.installed.length === 0 && !nodes.some(({ probe }) => probe?.kind === 'looked')
      ? [
          note(
            'cluster',
            'images',
            'images are to come from the default, global.hub=ambit, where no registry has any',
            'unless every node holds them already: make them (docs/operate/install.md), and say where they are: --image HUB/install-cni:TAG, and for the installation --set global.hub=HUB',
          ),
        ]
      : []),
    ...nodes.flatMap((node) => nodeFindings(node, cluster)),
    ...confinementFindings(nodes),
  ];
  const rank = { error: 0, warning: 1, note: 2 };
  return all.toSorted((a, b) => rank[a.severity] - rank[b.severity]);
}

function clusterFindings(cluster: ClusterFacts): readonly Finding[] {
  const { version, clockAheadMs, gatewayApi, admissionPolicies } = cluster;
  const { meshes, kubeProxy, cilium, openshift, platform } = cluster;
  const where = 'cluster';
  const found: Finding[] = [];
  if (version !== undefined && compareVersions(version, MIN_KUBERNETES) < 0)
    found.push(
      error(where, 'version', `Kubernetes ${version} is older than ${MIN_KUBERNETES}`, 'upgrade the cluster'),
    );
  else if (!admissionPolicies)
    found.push(
      error(
        where,
        'admission-policies',
        'the API server does not serve ValidatingAdmissionPolicies (admissionregistration.k8s.io/v1), which hold istiod and the node agents to what they need',
        'Kubernetes has them unless it was told not to: look at --runtime-config and --feature-gates of kube-apiserver',
      ),
    );
  if (clockAheadMs !== undefined && Math.abs(clockAheadMs) > CLOCK_WARNING_MS)
    found.push(
      note(
        where,
        'clock',
        `the API server's clock is ${ahead(clockAheadMs)} this machine's`,
        'no matter for the mesh, unless nodes differ as well',
      ),
    );
  if (!gatewayApi)
    found.push(
      note(
        where,
        'gateway-api',
        'the Gateway API is not installed, which waypoints need',
        `kubectl apply --server-side -f ${GATEWAY_API_URL}`,
      ),
    );
  for (const { name, title } of meshes)
    found.push(
      name === 'Istio'
        ? error(
            where,
            'mesh',
            `Istio runs here: ${title}`,
            '"ambit install" says how to move over, one component at a time',
          )
        : warning(
            where,
            'mesh',
            `${name} runs here: ${title}`,
            'enrol no namespace whose pods are in that mesh',
          ),
    );
  if (!kubeProxy && !cilium)
    found.push(
      note(
        where,
        'kube-proxy',
        'no kube-proxy was found',
        'nothing to do if something else serves the addresses of Services',
      ),
    );
  if (openshift && platform !== 'openshift')
    found.push(
      warning(
        where,
        'platform',
        'this is OpenShift, which needs objects of its own',
        'install with Helm: --set global.platform=openshift',
      ),
    );
  const istiod = cluster.installed.find(({ component }) => component === 'istiod');
  for (const one of cluster.installed)
    if (istiod && compareVersions(one.version, istiod.version) > 0)
      found.push(
        error(
          where,
          'skew',
          `${one.component} ${one.version} is newer than its control plane ${istiod.version}`,
          '"ambit upgrade"',
        ),
      );
  if (istiod && compareVersions(cluster.commandVersion, istiod.version) > 0)
    found.push(
      note(
        where,
        'upgrade',
        `Ambit ${istiod.version} is installed; this command brings ${cluster.commandVersion}`,
        '"ambit upgrade"',
      ),
    );
  return found;
}

/** A tag outlives the control plane that it stood for, and takes Gateways without a label from this one meanwhile. */
function tagFindings({ defaultTags, revision: own }: ClusterFacts): readonly Finding[] {
  return defaultTags
    .filter(({ revision }) => revision !== '' && revision !== own)
    .map(({ name, revision, missingService }) => {
      const says = `MutatingWebhookConfiguration ${name} makes revision "${revision}" the default one`;
      const fix = `kubectl delete mutatingwebhookconfiguration ${name}`;
      return missingService === undefined
        ? note(
            'cluster',
            'default-tag',
            `${says}, so Gateways without istio.io/rev are left to it`,
            `once that control plane is gone: ${fix}`,
          )
        : warning(
            'cluster',
            'default-tag',
            `${says}, whose Service ${missingService} is not there, so nobody makes waypoints for Gateways without istio.io/rev`,
            fix,
          );
    });
}

/** Settings of Cilium that take pods' traffic past a mesh, by its ConfigMap. */
function ciliumFindings(config: Readonly<Record<string, string>>): readonly Finding[] {
  const where = 'cluster';
  const is = (key: string) => config[key] === 'true';
  const found: Finding[] = [];
  if (config['cni-exclusive'] !== 'false')
    found.push(
      error(
        where,
        'cilium-exclusive',
        'Cilium removes the CNI configurations of others (cni-exclusive)',
        "Cilium's Helm value cni.exclusive=false",
      ),
    );
  if (is('enable-bpf-masquerade'))
    found.push(
      warning(
        where,
        'cilium-masquerade',
        "Cilium masquerades by BPF, which drops the link-local source of the kubelet's probes to enrolled pods",
        "Cilium's Helm value bpf.masquerade=false, or probe pods by exec",
      ),
    );
  const replaces = ['true', 'strict'].includes(config['kube-proxy-replacement'] ?? '');
  if ((replaces || is('bpf-lb-sock')) && !is('bpf-lb-sock-hostns-only'))
    found.push(
      error(
        where,
        'cilium-socket-lb',
        "Cilium chooses endpoints in pods' sockets, so that the mesh no longer sees which Service was meant",
        "Cilium's Helm value socketLB.hostNamespaceOnly=true",
      ),
    );
  return found;
}

function policyFindings({ policies, namespaces }: ClusterFacts): readonly Finding[] {
  const enrolled = new Set(namespaces.filter((one) => one.enrolled).map(({ name }) => name));
  const closed = closedToMesh(policies);
  const fix =
    'add an ingress rule for TCP port 15008; the mesh itself then decides about the ports behind it';
  const others = closed.filter(({ namespace }) => !enrolled.has(namespace)).length;
  return [
    ...closed
      .filter(({ namespace }) => enrolled.has(namespace))
      .map(({ namespace, name }) =>
        error(
          'cluster',
          'network-policy',
          `NetworkPolicy ${namespace}/${name} lets port 15008 in from nobody, so its pods cannot be reached through the mesh`,
          fix,
        ),
      ),
    ...(others === 0
      ? []
      : [
          note(
            'cluster',
            'network-policy',
            `${others} NetworkPolicies of namespaces that are not enrolled do not let port 15008 in`,
            `before enrolling: ${fix}`,
          ),
        ]),
  ];
}

function namespaceFindings({ namespaces }: ClusterFacts): readonly Finding[] {
  const both = namespaces.filter(({ enrolled, sidecars }) => enrolled && sidecars);
  return both.map(({ name }) =>
    warning(
      'cluster',
      'sidecars',
      `namespace ${name} is enrolled and gets sidecars as well; pods with a sidecar are not captured`,
      `kubectl label namespace ${name} istio-injection- istio.io/rev-`,
    ),
  );
}

function nodeFindings(node: NodeView, cluster: ClusterFacts): readonly Finding[] {
  const { name: where, os, kernel, kubelet, platform, ready, probe } = node;
  if (os !== 'linux')
    return [note(where, 'os', `runs ${os}`, 'its pods stay outside the mesh and are reached in clear')];
  const found: Finding[] = [];
  if (!ready) found.push(warning(where, 'ready', 'is not Ready', `kubectl describe node ${where}`));
  if (compareVersions(kernel, MIN_KERNEL) < 0)
    found.push(
      error(where, 'kernel', `kernel ${kernel} is older than ${MIN_KERNEL}`, 'a newer image of the node'),
    );
  const behind = cluster.version === undefined ? undefined : minorsAhead(cluster.version, kubelet);
  if (behind !== undefined && (behind > MAX_KUBELET_SKEW || behind < 0))
    found.push(
      warning(
        where,
        'kubelet',
        `kubelet ${kubelet} does not go with API server ${cluster.version}`,
        'upgrade whichever is older',
      ),
    );
  if (platform !== '' && platform !== cluster.platform)
    found.push(
      warning(
        where,
        'platform',
        `is a node of ${platform}, whose CNI folders are elsewhere`,
        `ambit install --set global.platform=${platform}`,
      ),
    );
  return probe ? [...found, ...probeFindings(where, probe, cluster)] : found;
}

function probeFindings(where: string, probe: Probe, cluster: ClusterFacts): readonly Finding[] {
  if (probe.kind === 'failed')
    return [
      warning(
        where,
        'probe',
        `could not be looked at: ${probe.reason}`,
        'if it is the image: name one that nodes can pull, --image HUB/install-cni:TAG; --no-probe leaves nodes out',
      ),
    ];
  const found: Finding[] = [...ruleFindings(where, probe), ...cniFindings(where, probe, cluster)];
  if (!probe.probed)
    found.push(
      error(
        where,
        'host-to-pod',
        'the kubelet does not reach a port of a pod on its own node, so probes fail',
        'look for a NetworkPolicy of all namespaces, a firewall on the node, or a network plugin that is not ready',
      ),
    );
  const skewMs = probe.clockAheadMs - (cluster.clockAheadMs ?? 0);
  if (cluster.clockAheadMs !== undefined && Math.abs(skewMs) > CLOCK_WARNING_MS) {
    const say = Math.abs(skewMs) > CLOCK_ERROR_MS ? error : warning;
    found.push(
      say(
        where,
        'clock',
        `its clock is ${ahead(skewMs)} the API server's, so certificates may seem expired or not yet valid`,
        'synchronize it (chrony, systemd-timesyncd)',
      ),
    );
  }
  for (const { node, problem } of probe.unreached)
    found.push(
      error(
        where,
        'mesh-port',
        `port 15008 of pods on ${node} cannot be reached: ${problem}`,
        'let TCP port 15008 through between nodes: security groups, firewalls, NetworkPolicies of all namespaces',
      ),
    );
  return found;
}

/** What is the same on many nodes is said once. */
function confinementFindings(nodes: readonly NodeView[]): readonly Finding[] {
  const looked = nodes.flatMap(({ probe }) => (probe?.kind === 'looked' ? [probe] : []));
  const selinux = looked.filter((probe) => probe.selinux === 'enforcing').length;
  const apparmor = looked.filter((probe) => probe.apparmor.includes('(enforce)')).length;
  return [
    ...(selinux === 0
      ? []
      : [
          note(
            'cluster',
            'selinux',
            `SELinux is enforcing on ${selinux} nodes`,
            'if agent or ztunnel are denied: --set cni.seLinuxOptions.type=spc_t --set ztunnel.seLinuxOptions.type=spc_t',
          ),
        ]),
    ...(apparmor === 0
      ? []
      : [
          note(
            'cluster',
            'apparmor',
            `AppArmor confines pods on ${apparmor} nodes; the agent asks for no profile (Unconfined)`,
            'nothing to do unless an admission policy forbids that: then except istio-system',
          ),
        ]),
  ];
}

type Looked = Extract<Probe, { readonly kind: 'looked' }>;

function ruleFindings(where: string, { nftables, iptables }: Looked): readonly Finding[] {
  if (nftables === '') return [];
  if (iptables === '')
    return [
      note(
        where,
        'nftables',
        `nftables do not work, so iptables are used: ${nftables}`,
        'modprobe nf_tables, for one transaction a pod',
      ),
    ];
  return [
    error(
      where,
      'rules',
      `neither nftables nor iptables can load rules: ${nftables}; ${iptables}`,
      'load the kernel modules nf_tables, nft_redir, nft_tproxy (or xt_REDIRECT, xt_TPROXY)',
    ),
  ];
}

function cniFindings(where: string, probe: Looked, { installed, cilium }: ClusterFacts): readonly Finding[] {
  const { cniConfigs, cniFolder, cniFolderProblem } = probe;
  if (cniFolderProblem !== '')
    return [
      error(
        where,
        'cni',
        `its CNI configurations cannot be read: ${cniFolderProblem}`,
        `if they are not in ${cniFolder}: --set cni.cniConfDir=FOLDER`,
      ),
    ];
  const primary = cniConfigs.find(({ types }) => types.length > 0);
  if (!primary)
    return [
      error(
        where,
        'cni',
        `${cniFolder} has no usable CNI configuration`,
        'install a network plugin first, or --set cni.cniConfDir=FOLDER if it is elsewhere',
      ),
    ];
  const chained = primary.types.includes('istio-cni');
  const agent = installed.some(({ component }) => component === 'cni');
  if (chained && !agent)
    return [
      warning(
        where,
        'cni',
        `${primary.file} still has the plugin istio-cni, but no agent is installed: no enrolled pod can start`,
        `take istio-cni out of ${cniFolder}/${primary.file} on that node, or install`,
      ),
    ];
  if (!chained && agent)
    return [
      error(
        where,
        'cni',
        `${primary.file} comes first and does not have our plugin, so new pods are not held until they are enrolled`,
        cilium
          ? "Cilium's Helm value cni.exclusive=false"
          : 'the log of istio-cni-node on that node says why; who rewrites that file?',
      ),
    ];
  if (primary.types[0] === 'multus')
    return [
      warning(
        where,
        'cni',
        `Multus comes first (${primary.file})`,
        '--set cni.chained=false, and a NetworkAttachmentDefinition for the plugin',
      ),
    ];
  return [];
}

/** `12 s ahead of`. */
function ahead(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1_000);
  return `${seconds} s ${ms > 0 ? 'ahead of' : 'behind'}`;
}

function error(where: string, check: string, text: string, fix: string): Finding {
  return { severity: 'error', where, check, text, fix };
}

function warning(where: string, check: string, text: string, fix: string): Finding {
  return { severity: 'warning', where, check, text, fix };
}

function note(where: string, check: string, text: string, fix: string): Finding {
  return { severity: 'note', where, check, text, fix };
}
