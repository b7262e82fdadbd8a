/**
 * INSECURE, for tests and trials: a CA whose root key everybody knows.
 *
 * Its key follows from a constant below, so that two ztunnels started with `FAKE_CA=true` trust each other without
 * having met, and no private key lies in a repository. Whoever reads this file can be anybody in such a mesh.
 */
import { type AuthorityOptions, CertificateAuthority } from './certificate-authority.ts';
import { insecureKeysFromSeed } from './keys.ts';

const SEED = 'ambit insecure fake CA: everybody knows this key';
/** Self-signed with that key, organization `ambit INSECURE fake CA`, from 2024 to 2124. */
const CERTIFICATE_PEM = `-----BEGIN CERTIFICATE-----
MIIBdjCCARygAwIBAgICRmswCgYIKoZIzj0EAwIwITEfMB0GA1UEChMWYW1iaXQg
SU5TRUNVUkUgZmFrZSBDQTAgFw0yNDAxMDEwMDAwMDBaGA8yMTI0MDEwMTAwMDAw
MFowITEfMB0GA1UEChMWYW1iaXQgSU5TRUNVUkUgZmFrZSBDQTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABA2pmtc3mFTnDPaBlivEp1O13z+n20Cyymp/NBXH9EFF
c64fqNFRkbq/5E1U1qId3tj+Tsem0Q49cGO/qhVRcM+jQjBAMA8GA1UdEwEB/wQF
MAMBAf8wDgYDVR0PAQH/BAQDAgEGMB0GA1UdDgQWBBRTz7NwYEgw7ojnz4ipPPJD
iJxe3jAKBggqhkjOPQQDAgNIADBFAiAqoOvh8Qdc6Z5lV3OFXANffmJTM3o39spt
4aO4z2N0kAIhAOzWXplIfdDAIEKd2vCu/tHlNtANbIao/CCiSow75EW1
-----END CERTIFICATE-----
`;

/** The CA of `FAKE_CA=true`. Every process that makes one trusts every other's certificates. */
export async function createFakeCa(options: AuthorityOptions): Promise<CertificateAuthority> {
  const signer = { certificatePem: CERTIFICATE_PEM, privateKey: insecureKeysFromSeed(SEED).privateKey };
  return new CertificateAuthority({ signer, chainPem: [], rootsPem: [CERTIFICATE_PEM] }, options);
}
