"""Completion of exo-cc's command line: its own options, and gcc's, which gcc itself tells."""

VARIABLE = "_EXO_CC_COMPLETE"  # as click names them: bash_source, zsh_source, fish_source
OPTIONS = {
    "--exo-cc=": "the compiler: gcc, clang",
    "--exo-libc=glibc": "the default",
    "--exo-libc=musl": "by musl-gcc",
    "--exo-dynamic": "link dynamically",
    "--exo-verbose": "say how many sites enter directly",
    "--help": "print a help text",
}
BASH = """\
_exo_cc_completion() {{
    local word=${{COMP_WORDS[COMP_CWORD]}}
    COMPREPLY=()
    case $word in
    -*) COMPREPLY=($(compgen -W '{words}' -- "$word") $(gcc --completion="$word" 2>/dev/null)) ;;
    esac
}}
complete -o default -F _exo_cc_completion exo-cc
"""


def script(wanted: str) -> str:
    """Return what a shell is to evaluate; "" for one that is not known."""
    shell = wanted.removesuffix("_source")
    if shell == "fish":
        rows = (f"complete -c exo-cc -a '{word}' -d '{text}'\n" for word, text in OPTIONS.items())
        return "".join(rows)
    bash = BASH.format(words=" ".join(OPTIONS))
    start = {"bash": "", "zsh": "autoload -Uz bashcompinit && bashcompinit\n"}.get(shell)
    return "" if start is None else start + bash
