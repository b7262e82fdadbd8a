/** Certificates side by side: what one says that another does not. */
import { X509Certificate } from 'node:crypto';
import { derContent, derValues } from '../der.ts';

/** The fields of what is signed, but for the serial number, in hexadecimal. */
export function signedFields(pem: string): readonly string[] {
  const certificate = derContent(new X509Certificate(pem).raw, 0x30) ?? new Uint8Array();
  const [signed] = derValues(certificate, 3) ?? [];
  const fields = derValues(signed?.content ?? new Uint8Array(), 16) ?? [];
  return fields
    .filter((_, index) => index !== 1)
    .map(({ tag, content }) => `${tag} ${Buffer.from(content).toString('hex')}`);
}
