/** The reference page of the `ambit` command, from the tables that it reads its command line by. */
import { COMMANDS, optionsHelp } from '../../packages/cli/src/command-line.ts';
import { COMMON, DETAILS, EXIT_CODES } from '../../packages/cli/src/commands/help.ts';
import type { Output } from './files.ts';

export function commandReference(): Output {
  const commands = Object.keys(COMMANDS).map(section);
  const page = `# The ambit command

Generated from the tables that the command reads its command line by (\`npm run generate\`).

Options of every command:

${options(COMMON)}

${EXIT_CODES.replaceAll('\n', ' ')}

${commands.join('\n')}`;
  return new Map([['ambit.md', page]]);
}

function section(name: string): string {
  const shape = COMMANDS[name];
  const usage = ['ambit', name, shape?.operands, '[options]'].filter(Boolean).join(' ');
  const details = DETAILS[name]?.replaceAll('\n', ' ');
  const own = shape === undefined ? [] : optionsHelp(shape);
  const parts = [
    `## ${name}`,
    `${sentence(shape?.summary ?? '')}`,
    `\`\`\`\n${usage}\n\`\`\``,
    ...(details === undefined ? [] : [details]),
    ...(own.length === 0 ? [] : [options(own)]),
  ];
  return `${parts.join('\n\n')}\n`;
}

function options(rows: readonly (readonly [string, string])[]): string {
  const lines = rows.map(([option, meaning]) => `| \`${cell(option)}\` | ${cell(meaning)} |`);
  return ['| option | meaning |', '| --- | --- |', ...lines].join('\n');
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** In code, angle brackets and capitals are as they are; a bar would end the cell. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
