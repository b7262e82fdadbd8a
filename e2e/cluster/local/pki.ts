/**
 * Keys and certificates of a cluster: one CA for everything, since it is a lab. They end with the cluster's folder.
 *
 * A certificate's common name and organizations are the user and groups that the API server takes its holder for.
 */
import { createPrivateKey } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { generateKeys } from '@ambit/identity/keys';
import {
  createAuthority,
  createLeaf,
  type KeyPair,
  type Signer,
  type SubjectNames,
} from '@ambit/identity/x509';
import { type LocalSettings, nodeName, places } from './settings.ts';

const DAY_MS = 24 * 3_600_000;
const LIFETIME_MS = 30 * DAY_MS;
const CLOCK_SKEW_MS = 3_600_000;

/** Users with a kubeconfig, by the name of its file. */
const USERS: Readonly<Record<string, SubjectNames>> = {
  admin: { commonName: 'admin', organizations: ['system:masters'] },
  'controller-manager': { commonName: 'system:kube-controller-manager' },
  scheduler: { commonName: 'system:kube-scheduler' },
  proxy: { commonName: 'system:kube-proxy' },
};

export interface ClusterCa extends Signer {
  readonly settings: LocalSettings;
}

/** Writes all but the nodes' into the cluster's folder. */
export async function writeClusterPki(settings: LocalSettings, nowMs: number): Promise<ClusterCa> {
  const keys = await generateKeys();
  const certificatePem = await createAuthority({
    organization: 'ambit',
    commonName: `${settings.name}-ca`,
    keys,
    ...validity(nowMs),
  });
  const ca = { certificatePem, privateKey: keys.privateKey, settings };
  const { pki } = places(settings);
  write(pki('ca.crt'), certificatePem);
  write(pki('ca.key'), pem(keys));
  const serviceAccounts = await generateKeys();
  write(pki('sa.key'), pem(serviceAccounts));
  write(pki('sa.pub'), String(serviceAccounts.publicKey.export({ type: 'spki', format: 'pem' })));
  await Promise.all([
    writeCertificate(ca, 'apiserver', apiServerNames(settings), nowMs),
    writeCertificate(ca, 'front-proxy', { commonName: 'front-proxy' }, nowMs),
    writeCertificate(
      ca,
      'apiserver-kubelet-client',
      { commonName: 'apiserver-kubelet-client', organizations: ['system:masters'] },
      nowMs,
    ),
    ...Object.entries(USERS).map(([user, names]) => writeUser(ca, user, names, nowMs)),
  ]);
  return ca;
}

/** For a node that is added later. */
export function readClusterCa(settings: LocalSettings): ClusterCa {
  const { pki } = places(settings);
  const privateKey = createPrivateKey(readFileSync(pki('ca.key')));
  return { certificatePem: readFileSync(pki('ca.crt'), 'utf8'), privateKey, settings };
}

/** A kubelet's certificate, with which it serves and calls. */
export async function writeNodePki(ca: ClusterCa, number: number, nowMs: number): Promise<void> {
  const name = nodeName(number);
  const names: SubjectNames = {
    commonName: `system:node:${name}`,
    organizations: ['system:nodes'],
    dnsNames: [name],
    ips: ca.settings.families.map(({ node }) => node(number)),
  };
  await writeUser(ca, name, names, nowMs);
}

function apiServerNames({ families }: LocalSettings): SubjectNames {
  const service = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
  return {
    commonName: 'kube-apiserver',
    dnsNames: ['localhost', ...service, 'kubernetes.default.svc.cluster.local'],
    ips: ['127.0.0.1', ...families.flatMap(({ gateway, apiService }) => [gateway, apiService])],
  };
}

async function writeUser(ca: ClusterCa, user: string, names: SubjectNames, nowMs: number): Promise<void> {
  const { certificatePem, keyPem } = await writeCertificate(ca, user, names, nowMs);
  const { name: cluster, apiServer } = ca.settings;
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const access = { server: apiServer, 'certificate-authority-data': base64(ca.certificatePem) };
  const credentials = {
    'client-certificate-data': base64(certificatePem),
    'client-key-data': base64(keyPem),
  };
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: cluster, cluster: access }],
    users: [{ name: user, user: credentials }],
    contexts: [{ name: cluster, context: { cluster, user } }],
    'current-context': cluster,
  };
  write(places(ca.settings).kubeconfig(user), `${JSON.stringify(kubeconfig, undefined, 1)}\n`);
}

async function writeCertificate(ca: ClusterCa, file: string, names: SubjectNames, nowMs: number) {
  const keys = await generateKeys();
  const certificatePem = await createLeaf({ names, publicKey: keys.publicKey, ...validity(nowMs) }, ca);
  const keyPem = pem(keys);
  const { pki } = places(ca.settings);
  write(pki(`${file}.crt`), certificatePem);
  write(pki(`${file}.key`), keyPem);
  return { certificatePem, keyPem };
}

function validity(nowMs: number) {
  return { notBeforeMs: nowMs - CLOCK_SKEW_MS, notAfterMs: nowMs + LIFETIME_MS };
}

function pem(keys: KeyPair): string {
  return String(keys.privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode: 0o600 });
  chmodSync(path, 0o600);
}
