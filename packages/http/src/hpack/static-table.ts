/** The 61 header fields that both ends of HPACK know from the start (RFC 7541, appendix A), at indices 1 to 61. */

const NAMED_ONLY =
  'accept-charset|accept-encoding=gzip, deflate|accept-language|accept-ranges|accept|access-control-allow-origin|age|' +
  'allow|authorization|cache-control|content-disposition|content-encoding|content-language|content-length|' +
  'content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|' +
  'if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|' +
  'proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|set-cookie|' +
  'strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate';

const PSEUDO =
  ':authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|' +
  ':status=200|:status=204|:status=206|:status=304|:status=400|:status=404|:status=500';

const fields = `${PSEUDO}|${NAMED_ONLY}`.split('|').map((field) => {
  const equals = field.indexOf('=');
  return equals < 0 ? ([field, ''] as const) : ([field.slice(0, equals), field.slice(equals + 1)] as const);
});

/** `STATIC_NAMES[i]` is the name at index i; index 0 does not exist. */
export const STATIC_NAMES: readonly string[] = ['', ...fields.map(([name]) => name)];
export const STATIC_VALUES: readonly string[] = ['', ...fields.map(([, value]) => value)];

/** The first dynamic index. */
export const DYNAMIC_BASE = STATIC_NAMES.length;

/** The lowest static index with this name. */
export const STATIC_INDEX_OF_NAME: ReadonlyMap<string, number> = new Map(
  fields.map(([name], i) => [name, i + 1] as const).reverse(),
);
