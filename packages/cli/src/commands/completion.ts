/** `ambit completion`: what a shell needs to complete the words of this command, from the tables that it reads them by. */
import { COMMANDS, GROUPS, optionsHelp } from '../command-line.ts';
import { UsageError } from '../errors.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { didYouMean } from '../did-you-mean.ts';
import { COMMON } from './help.ts';

const SHELLS = ['bash', 'zsh'] as const;

/** @throws {@link UsageError} */
export function completion([shell = '']: readonly string[], print: (text: string) => void): ExitCode {
  if (shell === 'bash') print(bashScript());
  // Zsh runs what is written for bash; compinit must have run, as it has where completion is set up at all.
  else if (shell === 'zsh') print(`autoload -U +X bashcompinit && bashcompinit\n${bashScript()}`);
  else
    throw new UsageError(
      `completion is for ${SHELLS.join(' or ')}, not "${shell}"${didYouMean(shell, SHELLS)}`,
    );
  return EXIT.ok;
}

function bashScript(): string {
  return `_ambit() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" first='' second='' words='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
      -*) ;;
      *) if [ -z "$first" ]; then first="$word"; elif [ -z "$second" ]; then second="$word"; fi ;;
    esac
  done
  case "$first" in
    ${GROUPS.join('|')}) [ -n "$second" ] && first="$first $second" ;;
  esac
  case "$first:$before" in
${valueCases().join('\n')}
  esac
  if [ -z "$words" ]; then
    case "$first" in
${wordCases().join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _ambit ambit
`;
}

/** Commands, then what each takes: its second word, or its options. */
function wordCases(): readonly string[] {
  const names = Object.keys(COMMANDS);
  const firstWords = [...new Set(names.map((name) => name.split(' ')[0] ?? ''))];
  return [
    caseOf("''", firstWords),
    ...GROUPS.map((group) =>
      caseOf(
        group,
        names.flatMap((name) => (name.startsWith(`${group} `) ? [name.slice(group.length + 1)] : [])),
      ),
    ),
    caseOf('help', firstWords),
    caseOf('completion', SHELLS),
    ...names
      .filter((name) => name !== 'help' && name !== 'completion')
      .map((name) => caseOf(`'${name}'`, writtenOptions(name).flatMap(spellings))),
  ];
}

/** After an option that takes one of a few words: these. */
function valueCases(): readonly string[] {
  return Object.keys(COMMANDS).flatMap((name) =>
    writtenOptions(name).flatMap((written) => {
      const [, values] = / ([a-z]+(?:\|[a-z]+)+)$/.exec(written) ?? [];
      if (values === undefined) return [];
      const patterns = spellings(written).map((option) => `'${name}:${option}'`);
      return [`    ${patterns.join('|')}) words='${values.replaceAll('|', ' ')}' ;;`];
    }),
  );
}

function writtenOptions(command: string): readonly string[] {
  const shape = COMMANDS[command];
  const own = shape === undefined ? [] : optionsHelp(shape);
  return [...own, ...COMMON].map(([written]) => written);
}

/** Of `-n, --namespace NAME`: both. */
function spellings(written: string): readonly string[] {
  return written.split(/[ ,]+/).filter((word) => word.startsWith('-'));
}

function caseOf(pattern: string, words: readonly string[]): string {
  return `      ${pattern}) words='${words.join(' ')}' ;;`;
}
