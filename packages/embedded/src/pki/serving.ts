/**
 * The certificate authority and the serving certificate, made at start; kept in the folder, if there is one, so that
 * kubeconfigs written before a restart still hold.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import type { Clock } from '@ambit/core/clock';
import { createAuthority, createLeaf, type KeyPair } from '@ambit/identity/x509';

const DAY_MS = 86_400_000;
const CA_DAYS = 3_650;
const SERVING_DAYS = 365;
/** A CA with less left than this is replaced at start. */
const CA_RENEW_DAYS = 400;

export interface Authority {
  readonly certificatePem: string;
  readonly privateKey: KeyObject;
}

export interface ServingCertificate {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** Names and addresses that pods and people reach the API by, besides those it listens on. */
const OWN_NAMES = [
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
  'localhost',
];
const OWN_ADDRESSES = ['127.0.0.1', '::1', '10.96.0.1'];

const generate = promisify(generateKeyPair);

export async function newKeyPair(): Promise<KeyPair> {
  return await generate('ec', { namedCurve: 'P-256' });
}

export async function newAuthority(clock: Clock): Promise<Authority> {
  const keys = await newKeyPair();
  const certificatePem = await createAuthority({
    organization: 'Ambit',
    commonName: 'ambit-embedded-ca',
    keys,
    notBeforeMs: clock.now() - 60_000,
    notAfterMs: clock.now() + CA_DAYS * DAY_MS,
  });
  return { certificatePem, privateKey: keys.privateKey };
}

export async function newServingCertificate(
  authority: Authority,
  hosts: readonly string[],
  clock: Clock,
): Promise<ServingCertificate> {
  const keys = await newKeyPair();
  const leaf = await createLeaf(
    {
      publicKey: keys.publicKey,
      usages: ['serverAuth'],
      names: {
        commonName: 'kube-apiserver',
        dnsNames: [...new Set([...OWN_NAMES, ...hosts.filter((host) => isIP(host) === 0)])],
        ips: [...new Set([...OWN_ADDRESSES, ...hosts.filter((host) => isIP(host) !== 0)])],
      },
      notBeforeMs: clock.now() - 60_000,
      notAfterMs: clock.now() + SERVING_DAYS * DAY_MS,
    },
    authority,
  );
  return {
    certificatePem: leaf,
    privateKeyPem: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** Whether a kept CA may go on: it must outlive what it signs. */
export function isUsable(certificatePem: string, nowMs: number): boolean {
  return new X509Certificate(certificatePem).validToDate.getTime() > nowMs + CA_RENEW_DAYS * DAY_MS;
}

export const keyPairOf = (privateKeyPem: string): KeyPair => ({
  privateKey: createPrivateKey(privateKeyPem),
  publicKey: createPublicKey(privateKeyPem),
});

export const pemOfKey = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();
