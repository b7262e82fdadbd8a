/** Fills an API server: first what the control plane itself needs, then the population, many requests at a time. */
import { readdirSync, readFileSync } from 'node:fs';
import type { KubeClient } from '@ambit/kube/client';
import { apiVersionOf, type KubeObject, type Resource } from '@ambit/kube/resource';
import type { TokenRequest } from '@ambit/kube/resources/authentication';
import {
  endpointSlices,
  namespaces,
  nodes,
  pods,
  type ServiceAccount,
  serviceAccounts,
  services,
} from '@ambit/kube/resources/core';
import { endpointSlice, namespace, node, pod, podStatus, service, type Size } from './population.ts';

export const SYSTEM_NAMESPACE = 'istio-system';
const CRDS = new URL('../../deploy/crds/', import.meta.url);
const REQUESTS_AT_A_TIME = 32;
const TOKEN_LIFETIME_S = 7_200;

/** Kinds, namespace, accounts. What the control plane may do is not what is measured here: it is made an administrator. */
export async function installBase(admin: KubeClient): Promise<void> {
  for (const file of readdirSync(CRDS).filter((name) => name.endsWith('.yaml'))) {
    await admin.request({
      method: 'POST',
      path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
      contentType: 'application/yaml',
      body: readFileSync(new URL(file, CRDS), 'utf8'),
    });
  }
  await admin.create(namespaces, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: SYSTEM_NAMESPACE },
  });
  for (const name of ['istiod', 'ztunnel'])
    await admin.create(serviceAccounts, account(SYSTEM_NAMESPACE, name));
  const role = { group: 'rbac.authorization.k8s.io', version: 'v1', plural: 'clusterrolebindings' };
  const bindings: Resource = { ...role, kind: 'ClusterRoleBinding', namespaced: false };
  await admin.create(bindings, {
    apiVersion: apiVersionOf(bindings),
    kind: 'ClusterRoleBinding',
    metadata: { name: 'istiod' },
    roleRef: { apiGroup: role.group, kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ kind: 'ServiceAccount', name: 'istiod', namespace: SYSTEM_NAMESPACE }],
  } as KubeObject);
}

/** A token of one of the accounts in the system namespace, bound to no pod. */
export async function tokenOf(admin: KubeClient, name: string, audience?: string): Promise<string> {
  const spec = { ...(audience !== undefined && { audiences: [audience] }) };
  return await requestToken(admin, SYSTEM_NAMESPACE, name, spec);
}

/** A token as the kubelet gets it for a pod: bound to that pod, and void when the pod is gone. */
export async function boundTokenOf(
  admin: KubeClient,
  namespace: string,
  account: string,
  podName: string,
  audience: string,
): Promise<string> {
  const { metadata } = await admin.get(pods, { namespace, name: podName });
  const bound = { kind: 'Pod', apiVersion: 'v1', name: podName, ...(metadata.uid && { uid: metadata.uid }) };
  return await requestToken(admin, namespace, account, { audiences: [audience], boundObjectRef: bound });
}

async function requestToken(
  admin: KubeClient,
  namespace: string,
  name: string,
  spec: TokenRequest['spec'],
): Promise<string> {
  const request: TokenRequest = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata: { name, namespace },
    spec: { expirationSeconds: TOKEN_LIFETIME_S, ...spec },
  };
  const tokens: Resource<TokenRequest> = {
    group: '',
    version: 'v1',
    kind: 'TokenRequest',
    plural: 'serviceaccounts',
    namespaced: true,
  };
  const made = await admin.create(tokens, request, { name, subresource: 'token' });
  return made.status?.token ?? '';
}

export async function populate(admin: KubeClient, size: Size): Promise<void> {
  await each(size.namespaces, async (i) => {
    const { metadata } = await admin.create(namespaces, namespace(i));
    await admin.create(serviceAccounts, account(metadata.name, 'default'));
  });
  await each(size.nodes, (i) => admin.create(nodes, node(i)));
  await each(size.services, (i) => admin.create(services, service(i, size)));
  await each(size.pods, async (i) => {
    const { metadata } = await admin.create(pods, pod(i, size));
    const body = { status: podStatus(i) };
    await admin.patch(pods, metadata, { type: 'merge', body }, { subresource: 'status' });
  });
  await each(size.services, (i) => admin.create(endpointSlices, endpointSlice(i, size)));
}

async function each(count: number, work: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const i = next;
      next += 1;
      await work(i);
    }
  };
  await Promise.all(Array.from({ length: REQUESTS_AT_A_TIME }, worker));
}

function account(inNamespace: string, name: string): ServiceAccount {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace: inNamespace, name } };
}
