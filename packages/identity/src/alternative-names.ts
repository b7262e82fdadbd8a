/**
 * The URI names of a certificate, from its DER.
 *
 * Node's `subjectAltName` text joins names with commas, and a name may hold a comma; so identity is read from the
 * bytes. A certificate that cannot be walked has no names.
 */
import { BOOLEAN, derContent, derValues, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE } from './der.ts';
import { MAX_URI_NAMES } from './limits.ts';
import { parseSpiffeId } from './spiffe-id.ts';

/** TBSCertificate's `[3] extensions`, and GeneralName's `[6] uniformResourceIdentifier`. */
const EXTENSIONS = 0xa3;
const URI_NAME = 0x86;
/** 2.5.29.17 */
const SUBJECT_ALTERNATIVE_NAME = Uint8Array.of(0x55, 0x1d, 0x11);
const MAX_FIELDS = 16;
const MAX_EXTENSIONS = 64;
const MAX_NAMES = 1_024;

/** The URI names of the certificate `der`, in its order. Names that are not plain ASCII are left out. */
export function uriNames(der: Uint8Array): readonly string[] {
  const names = subjectAlternativeNames(der) ?? [];
  return names
    .filter((name) => name.tag === URI_NAME && isPrintableAscii(name.content))
    .slice(0, MAX_URI_NAMES)
    .map((name) => Buffer.from(name.content).toString('latin1'));
}

/** The SPIFFE identities among the URI names; the first is who the certificate's holder is. */
export function spiffeIdentities(der: Uint8Array): readonly string[] {
  return uriNames(der).filter((name) => parseSpiffeId(name) !== undefined);
}

function subjectAlternativeNames(der: Uint8Array) {
  const certificate = derContent(der, SEQUENCE);
  const signed = certificate && derValues(certificate, 3)?.[0];
  if (signed?.tag !== SEQUENCE) return undefined;
  const wrapper = derValues(signed.content, MAX_FIELDS)?.find((field) => field.tag === EXTENSIONS);
  const list = wrapper && derContent(wrapper.content, SEQUENCE);
  const found = (list && derValues(list, MAX_EXTENSIONS))
    ?.map((extension) => derValues(extension.content, 3) ?? [])
    .filter(([oid]) => oid?.tag === OBJECT_IDENTIFIER && sameBytes(oid.content, SUBJECT_ALTERNATIVE_NAME));
  const [parts, second] = found ?? [];
  if (!parts || second) return undefined;
  const value = parts[1]?.tag === BOOLEAN ? parts[2] : parts[1];
  const names = value?.tag === OCTET_STRING ? derContent(value.content, SEQUENCE) : undefined;
  return names && derValues(names, MAX_NAMES);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function isPrintableAscii(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte > 0x20 && byte < 0x7f);
}
