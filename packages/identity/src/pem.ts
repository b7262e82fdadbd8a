/** PEM text as blocks. What stands between blocks is ignored, as everybody does. */
import { CertificateError } from './errors.ts';
import { MAX_BUNDLE_CERTIFICATES, MAX_BUNDLE_SIZE_BYTES, MAX_PEM_BLOCK_SIZE_BYTES } from './limits.ts';

/**
 * The blocks of `text` that are labelled `label`, each with its own armour and a newline at its end.
 *
 * @throws {@link CertificateError} if the text, a block or their number is beyond its limit.
 */
export function pemBlocks(text: string, label: string): readonly string[] {
  if (text.length > MAX_BUNDLE_SIZE_BYTES)
    throw new CertificateError(`PEM text of ${text.length} bytes, more than ${MAX_BUNDLE_SIZE_BYTES}`);
  const begin = `-----BEGIN ${label}-----`;
  const end = `-----END ${label}-----`;
  const blocks: string[] = [];
  let from = text.indexOf(begin);
  while (from >= 0) {
    const to = text.indexOf(end, from);
    if (to < 0) break;
    const block = text.slice(from, to + end.length);
    if (block.length > MAX_PEM_BLOCK_SIZE_BYTES)
      throw new CertificateError(`PEM block of ${block.length} bytes, more than ${MAX_PEM_BLOCK_SIZE_BYTES}`);
    if (blocks.length === MAX_BUNDLE_CERTIFICATES)
      throw new CertificateError(`more than ${MAX_BUNDLE_CERTIFICATES} PEM blocks`);
    blocks.push(`${block}\n`);
    from = text.indexOf(begin, to);
  }
  return blocks;
}

/** DER as a PEM block. */
export function toPem(der: Uint8Array, label: string): string {
  const base64 = Buffer.from(der).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
