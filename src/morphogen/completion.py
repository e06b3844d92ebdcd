"""Completion in a shell: scripts for bash, zsh and fish, made from the signatures of the tasks. They hold all words, so
that no Python starts while somebody types; runs are looked for in runs/ as they are then."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from morphogen.shorthand import TRAINING
from morphogen.tasks.task import Argument, Task, tasks
from morphogen.tasks.words import choices
from morphogen.usage import words_of

__all__ = ["SHELLS", "script"]

SHELLS = ("bash", "zsh", "fish")
KINDS = {"RECIPE": "recipe", "SETTINGS": "setting", "RUNS": "run", "RUN": "run", "MODEL": "run"}


def script(shell: str) -> str:
    """The script of a shell, to be read when it starts."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _flags(task: Task) -> dict[str, list[str] | None]:
    """The options of a command, with the values that they choose from; None for those that take no value."""
    said: dict[str, list[str] | None] = {"--help": None, "--json": None, "--debug": None}
    if task.gives == "Values":
        said |= {"--out": [], "-o": [], "--force": None}
    for argument in task.arguments:
        if argument.option:
            name = f"-{argument.name}" if len(argument.name) == 1 else f"--{argument.name.replace('_', '-')}"
            said |= {name: _values(argument)} | ({"-o": []} if argument.name == "out" else {})
    return said


def _values(argument: Argument) -> list[str] | None:
    if argument.type == "bool":
        return None
    if argument.type.startswith("Literal["):
        return choices(argument.type)
    return ["train", "valid", "test"] if argument.name == "split" else []


def _kinds(task: Task) -> list[str]:
    """What each word of a command is; the last kind holds for all that follow where it takes several."""
    said = []
    for name, many, _, _ in words_of(task):
        kind = "shell" if task.name == "completion" else "recipe" if (task.name, name) == ("recipes", "NAME") else ""
        kind = kind or KINDS.get(name) or ("data" if name == "DATA" else "file")
        said.append(kind + ("..." if many else ""))
    return said


@cache
def _settings() -> dict[str, list[str]]:
    """The settings of each recipe, and under "" those of all; short names stand for those of training."""
    from morphogen import recipe as recipes
    from morphogen.settings import recipe_settings

    each = {name: [row["setting"] for row in recipe_settings(name)] for name in recipes.names()}
    shared = set.intersection(*map(set, each.values()))
    common = [name for name in each["vae"] if name in shared]
    return {"": [*TRAINING, *common]} | {name: [s for s in rows if s not in shared] for name, rows in each.items()}


def _words() -> dict[str, str]:
    from morphogen import recipe as recipes
    from morphogen.core.build import names

    return {"recipe": " ".join(recipes.names()), "data": " ".join(names("data")), "shell": " ".join(SHELLS)}


# bash -----------------------------------------------------------------------------------------------------------


def _bash() -> str:
    verbs = " ".join([*tasks(), "help", "--help", "--version"])
    return "\n".join([
        "# morphogen completion for bash. In ~/.bashrc:  eval \"$(morphogen completion bash)\"",
        "_morphogen_runs() {",
        "  local file",
        "  for file in runs/*/recipe.toml; do",
        "    [ -f \"$file\" ] || continue",
        "    file=\"${file%/recipe.toml}\"",
        "    printf '%s\\n%s\\n' \"$file\" \"${file#runs/}\"",
        "  done",
        "  printf 'last\\n'",
        "}",
        "_morphogen() {",
        "  local word=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\" verb=\"${COMP_WORDS[1]}\"",
        "  local flags=\"\" valued=\"\" kinds=\"\" kind=\"\" at=0 i list=\"\"",
        "  COMPREPLY=()",
        "  if [ \"$COMP_CWORD\" -eq 1 ]; then",
        f"    COMPREPLY=( $(compgen -W \"{verbs}\" -- \"$word\") ); return",
        "  fi",
        "  case \"$verb\" in",
        *(_case(task) for task in tasks().values()),
        f"    help) COMPREPLY=( $(compgen -W \"{' '.join(tasks())}\" -- \"$word\") ); return;;",
        "    *) return;;",
        "  esac",
        "  [ \"$before\" = \"=\" ] || [ \"$word\" = \"=\" ] && return",
        "  case \"$verb $before\" in",
        *_chosen(),
        "  esac",
        "  case \" $valued \" in *\" $before \"*) return;; esac",
        "  case \"$word\" in -*) COMPREPLY=( $(compgen -W \"$flags\" -- \"$word\") ); return;; esac",
        "  for ((i = 2; i < COMP_CWORD; i++)); do",
        "    case \" $valued \" in *\" ${COMP_WORDS[i]} \"*) i=$((i + 1)); continue;; esac",
        "    case \"${COMP_WORDS[i]}\" in -?*|=) ;; *) [ \"${COMP_WORDS[i-1]}\" = \"=\" ] || at=$((at + 1));; esac",
        "  done",
        "  for kind in $kinds; do",
        "    case \"$kind\" in *...) at=0;; esac",
        "    [ \"$at\" -eq 0 ] && break",
        "    at=$((at - 1)); kind=\"\"",
        "  done",
        "  case \"${kind%...}\" in",
        *(f"    {kind}) list=\"{words}\";;" for kind, words in _words().items()),
        "    run) list=\"$(_morphogen_runs)\";;",
        "    setting) list=\"$(_morphogen_settings \"${COMP_WORDS[2]}\")\"; compopt -o nospace 2>/dev/null;;",
        "  esac",
        "  COMPREPLY=( $(compgen -W \"$list\" -- \"$word\") )",
        "}",
        "_morphogen_settings() {",
        f"  printf '%s=\\n' {' '.join(_settings()[''])}",
        "  case \"$1\" in",
        *(f"    {name}) printf '%s=\\n' {' '.join(own)};;" for name, own in _settings().items() if name and own),
        "  esac",
        "}",
        "complete -o default -F _morphogen morphogen",
    ])  # fmt: skip


def _case(task: Task) -> str:
    flags = _flags(task)
    valued = " ".join(name for name, values in flags.items() if values is not None)
    return f'    {task.name}) flags="{" ".join(flags)}"; valued="{valued}"; kinds="{" ".join(_kinds(task))}";;'


def _chosen() -> Iterator[str]:
    for task in tasks().values():
        for flag, values in _flags(task).items():
            if values:
                yield f'    "{task.name} {flag}") COMPREPLY=( $(compgen -W "{" ".join(values)}" -- "$word") ); return;;'


def _zsh() -> str:
    head = '# morphogen completion for zsh. In ~/.zshrc:  eval "$(morphogen completion zsh)"'
    load = "autoload -U +X compinit && compinit -u; autoload -U +X bashcompinit && bashcompinit"
    return "\n".join([head, load, _bash().partition("\n")[2]])


# fish -----------------------------------------------------------------------------------------------------------


def _fish() -> str:
    words = _words()
    sources = {
        "recipe": f"'{words['recipe']}'", "data": f"'{words['data']}'", "shell": f"'{words['shell']}'",
        "run": "'(__morphogen_runs)'", "setting": f"'{' '.join(f'{s}=' for s in _settings()[''])}'",
    }  # fmt: skip
    lines = [
        "# morphogen completion for fish. In ~/.config/fish/config.fish:  morphogen completion fish | source",
        "function __morphogen_runs",
        "  for file in runs/*/recipe.toml",
        "    set -l run (string replace /recipe.toml '' -- $file)",
        "    echo $run; string replace runs/ '' -- $run",
        "  end",
        "  echo last",
        "end",
    ]
    for task in tasks().values():
        about = task.summary.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"complete -c morphogen -n __fish_use_subcommand -f -a {task.name} -d '{about}'")
        seen = f"-c morphogen -n '__fish_seen_subcommand_from {task.name}'"
        for flag, values in _flags(task).items():
            option = f"-s {flag[1:]}" if len(flag) == 2 else f"-l {flag[2:]}"
            takes = "" if values is None else " -r" + (f" -f -a '{' '.join(values)}'" if values else "")
            lines.append(f"complete {seen} {option}{takes}")
        lines += [
            f"complete {seen} -a {sources[k]}"
            for k in dict.fromkeys(k.removesuffix("...") for k in _kinds(task))
            if k in sources
        ]
    return "\n".join(lines)
