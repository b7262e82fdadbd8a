/** The variables of mesh TLS: versions, key exchange, cipher, and the file of revocation lists. */
import { type Infer, oneOf, text } from '@ambit/core/config/schema';
import type { TlsSettings } from './tls-context.ts';

export const tlsVariables = {
  crlPath: text({ env: 'CRL_PATH', default: undefined, doc: 'A file of certificate revocation lists.' }),
  compliancePolicy: text({
    env: 'COMPLIANCE_POLICY',
    default: undefined,
    doc: 'pqc: only X25519MLKEM768 as TLS key exchange.',
  }),
  tls12: text({ env: 'TLS12_ENABLED', default: undefined, doc: 'true: TLS 1.2 as well.' }),
  preferredCipher: oneOf({
    env: 'AMBIT_TLS_CIPHER',
    of: ['aes-128', 'aes-256'],
    default: 'aes-128',
    doc: 'Which AES-GCM is preferred between workloads; the other one is accepted.',
  }),
};

export function tlsSettings(values: Infer<typeof tlsVariables>): TlsSettings {
  return {
    tls12: values.tls12 === 'true',
    postQuantumOnly: values.compliancePolicy === 'pqc',
    preferredCipher: values.preferredCipher,
  };
}
