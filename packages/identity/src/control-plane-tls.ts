/**
 * How a proxy trusts its control plane and shows who it is: one-sided TLS, and a token in each request.
 *
 * Files are read when they are used, not once: Kubernetes replaces tokens hourly and roots at rotation, and a read per
 * request or connection is cheaper than a watch that may miss a change.
 */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext, getCACertificates } from 'node:tls';
import { ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js';
import { CertificateError } from './errors.ts';
import { MAX_TOKEN_SIZE_BYTES } from './limits.ts';
import { pemBlocks } from './pem.ts';

/** Whom the control plane's own certificate must come from. */
export type RootSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'pem'; readonly pem: string }
  /** The machine's own roots. */
  | { readonly kind: 'system' };

export type TokenSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'literal'; readonly token: string }
  | { readonly kind: 'none' };

/** @throws {@link CertificateError} if there is no root to be had. */
export async function readRoots(source: RootSource): Promise<readonly string[]> {
  if (source.kind === 'system') return getCACertificates('system');
  const text = source.kind === 'pem' ? source.pem : await readText(source.path, 'root certificate');
  const roots = pemBlocks(text, 'CERTIFICATE');
  const where = source.kind === 'pem' ? 'the given text' : source.path;
  if (roots.length === 0) throw new CertificateError(`no root certificate in ${where}`);
  return roots;
}

/** What a gRPC client of the control plane is made with. */
export interface ControlPlaneChannel {
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
}

/** The name a client sends when it was given a bare address; gRPC must send one. */
const NAME_FOR_ADDRESSES = 'istiod';

/**
 * Credentials and options for a gRPC channel to `address`. The server's certificate must be for the address's host or
 * address, or for the alternative, by an alternative name of its subject.
 *
 * @param address - `host:port`, IPv6 in brackets.
 * @param alternativeHost - `ALT_XDS_HOSTNAME`, `ALT_CA_HOSTNAME`: another name its certificate may have.
 */
export function controlPlaneChannel(
  address: string,
  roots: readonly string[],
  alternativeHost?: string,
): ControlPlaneChannel {
  const host = address.replace(/:[0-9]+$/, '').replace(/^\[(.*)\]$/, '$1');
  const secureContext = createSecureContext({ ca: [...roots], minVersion: 'TLSv1.2' });
  const credentials = ChannelCredentials.createFromSecureContext(secureContext, {
    checkServerIdentity: (_, certificate) => {
      // A common name is no proof of a host: the same roots vouch for workloads.
      const named = { ...certificate, subject: { ...certificate.subject, CN: '' } };
      const problem = checkServerIdentity(host, named);
      return problem && alternativeHost ? checkServerIdentity(alternativeHost, named) : problem;
    },
  });
  const named = isIP(host) === 0;
  return { credentials, options: named ? {} : { 'grpc.ssl_target_name_override': NAME_FOR_ADDRESSES } };
}

/**
 * The value of the `authorization` header, or `undefined` when there is no token to send.
 *
 * @throws {@link CertificateError} if the file is missing, empty or not a token.
 */
export async function readAuthorization(source: TokenSource): Promise<string | undefined> {
  if (source.kind === 'none') return undefined;
  const text = source.kind === 'literal' ? source.token : await readText(source.path, 'token');
  const token = text.trim();
  const where = source.kind === 'literal' ? 'token' : `token file ${source.path}`;
  if (token === '') throw new CertificateError(`${where} is empty`);
  if (token.length > MAX_TOKEN_SIZE_BYTES || !/^[\x21-\x7e]+$/.test(token))
    throw new CertificateError(`${where} does not hold a token`);
  return `Bearer ${token}`;
}

async function readText(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new CertificateError(`${what} cannot be read`, { cause: error });
  }
}
