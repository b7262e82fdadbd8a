/** Lines for `ip -4 -force -batch -` and `ip -6 …`: the way back to ztunnel for packets that carry the return mark. */
import type { Family } from '@ambit/core/ip';
import { hex, MARK_MASK, RETURN_MARK, RETURN_RULE_PRIORITY, RETURN_TABLE } from './constants.ts';

const RULE = `fwmark ${hex(RETURN_MARK)}/${hex(MARK_MASK)} pref ${RETURN_RULE_PRIORITY} lookup ${RETURN_TABLE}`;

/** The route comes first: with the rule alone, marked packets would find no way at all. */
export function renderRoutes(family: Family): string {
  return `route replace ${routeOf(family)}\nrule add ${RULE}\n`;
}

export function renderRoutesRemoval(family: Family): string {
  return `rule del ${RULE}\nroute del ${routeOf(family)}\n`;
}

function routeOf(family: Family): string {
  return family === 4
    ? `local 0.0.0.0/0 dev lo table ${RETURN_TABLE} scope host`
    : `local ::/0 dev lo table ${RETURN_TABLE}`;
}
