"""The call table: complete, equal to Linux's headers, and fit to be compiled and imported.

Headers that this machine lacks, and names that they are too old to have, are skipped.
"""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from posix_x.table import emit_c, emit_docs, emit_python, generate, schema

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "posix_x" / "table" / "generate.py"
WARNINGS = ["-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
TYPES = schema.load_types()
CALLS = schema.load_calls(TYPES)
BY_NAME = {call.name: call for call in CALLS}
ARGUMENTS = {
    "read": 3, "mmap": 6, "brk": 1, "rt_sigaction": 4, "rt_sigreturn": 0, "pread64": 4,
    "select": 5, "mremap": 5, "getpid": 0, "sendfile": 4, "sendto": 6, "clone": 5, "execve": 3,
    "wait4": 4, "fcntl": 3, "ptrace": 4, "prctl": 5, "futex": 6, "epoll_ctl": 4, "waitid": 5,
    "openat": 4, "newfstatat": 4, "pselect6": 6, "ppoll": 5, "splice": 6, "utimensat": 4,
    "epoll_pwait": 6, "preadv": 5, "fanotify_mark": 5, "process_vm_readv": 6, "kcmp": 5,
    "renameat2": 5, "execveat": 5, "preadv2": 6, "pkey_mprotect": 4, "statx": 5, "io_pgetevents": 6,
    "clone3": 2, "openat2": 4, "epoll_pwait2": 6, "futex_waitv": 5, "cachestat": 4, "fchmodat2": 4,
    "futex_wait": 6, "futex_requeue": 4, "statmount": 4, "mseal": 3, "setxattrat": 6,
    "open_tree_attr": 5, "file_getattr": 5,
}  # fmt: skip


def compile_c(source: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["gcc", "-x", "c", *flags, "-"], input=source, text=True, capture_output=True, check=False
    )


def has_header(names: str) -> bool:
    folders = (Path("/usr/include"), Path("/usr/include/x86_64-linux-gnu"))
    return all(any((folder / name).exists() for folder in folders) for name in names.split())


def includes(names: str) -> str:
    return "#define _GNU_SOURCE\n#include <stddef.h>\n#include <stdint.h>\n" + "".join(
        f"#include <{name}>\n" for name in names.split()
    )


def read_row(**changes: object) -> schema.Call:
    row = {"nr": 0, "name": "x", "tier": "pass", "family": "file", "args": "fd fd"} | changes
    return schema.read_call(row, TYPES)


def test_table_is_sound() -> None:
    assert list(schema.problems(CALLS, TYPES)) == []


def test_table_ends_where_linux_6_18_ends() -> None:
    assert {call.nr for call in CALLS} == {*range(337), *range(424, 470)}


def test_numbers_and_names_are_the_header_s() -> None:
    header = next((path for path in generate.HEADERS if path.exists()), None)
    if header is None:
        pytest.skip("no unistd_64.h")
    assert list(schema.header_problems(CALLS, header)) == []


def test_check_names_a_call_that_is_missing(tmp_path: Path) -> None:
    header = tmp_path / "unistd_64.h"
    header.write_text("#define __NR_read 0\n#define __NR_newcall 400\n#define __NR_later 9999\n")
    assert list(schema.header_problems(CALLS, header)) == [
        f"400 is newcall in {header}, missing here"
    ]


@pytest.mark.parametrize(("name", "count"), ARGUMENTS.items())
def test_argument_count(name: str, count: int) -> None:
    assert len(BY_NAME[name].args) == count


@pytest.mark.parametrize("name", [name for name, row in TYPES.structs.items() if "header" in row])
def test_struct_is_the_header_s(name: str) -> None:
    row = TYPES.structs[name]
    if not has_header(row["header"]):
        pytest.skip(f"no {row['header']}")
    checks = [f'_Static_assert(sizeof({row["c"]}) == {row["size"]}, "size");']
    checks += [
        f'_Static_assert(offsetof({row["c"]}, {field}) == {offset}, "{field}");'
        for field, _, offset in row.get("fields", [])
    ]
    checks += [
        f'_Static_assert(sizeof((({row["c"]} *)0)->{field}) == {field_size(spec)}, "{field} size");'
        for field, spec, _ in row.get("fields", [])
    ]
    done = compile_c(includes(row["header"]) + "\n".join(checks), "-fsyntax-only")
    assert done.returncode == 0, done.stderr


def field_size(spec: str) -> int:
    base, _, count = spec.rstrip("]").partition("[")
    return TYPES.sizes[base] * int(count or 1)


@pytest.mark.parametrize("name", [name for name, row in TYPES.sets.items() if "header" in row])
def test_values_are_the_header_s(name: str) -> None:
    row = TYPES.sets[name]
    if not has_header(row["header"]):
        pytest.skip(f"no {row['header']}")
    bits = 64 if TYPES.sizes[name] > 4 else 32
    checks = "".join(
        f"#ifdef {label}\n"
        f'_Static_assert((uint{bits}_t)({label}) == {value % 2**bits}u, "{label}");\n#endif\n'
        for label, value in row["values"].items()
    )
    done = compile_c(includes(row["header"]) + checks, "-fsyntax-only")
    assert done.returncode == 0, done.stderr


def test_c_table_compiles_freestanding() -> None:
    done = compile_c(
        emit_c.c_source(CALLS), *WARNINGS, "-ffreestanding", "-mgeneral-regs-only",
        f"-I{ROOT / 'native' / 'include'}", "-c", "-o", "/dev/null",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_c_rows() -> None:
    rows = dict(re.findall(r"^    (\[\d+\]) = (\{.*\}), /\*", emit_c.c_source(CALLS), re.MULTILINE))
    assert rows["[18]"].startswith("{.tier = EXO_TIER_PASS, .ret = EXO_RET_RAW, .argc = 4,")
    assert rows["[0]"] == (
        "{.tier = EXO_TIER_HYBRID, .ret = EXO_RET_RAW, .argc = 3, .cloexec_arg = -1, .args = "
        "{{EXO_ARG_FD, FIXED, 0}, {EXO_ARG_OUT, 2, 1}, {EXO_ARG_RAW, FIXED, 0}}}"
    )
    assert rows["[43]"].endswith(
        "{{EXO_ARG_FD, FIXED, 0}, {EXO_ARG_RAW, FIXED, 0}, {EXO_ARG_INOUT, FIXED, 4}}}"
    )
    assert ".cloexec_arg = 2, .cloexec_flag = 0x80000" in rows["[257]"]
    assert ".ret = EXO_RET_FD, .argc = 4, .cloexec_arg = -2" in rows["[240]"]
    assert ".error = 38" in rows["[425]"]
    assert "{EXO_ARG_IN, FIXED, 32}" in rows["[280]"], "utimensat takes two timespecs"


# As if a call were served by Python whole; there is none at present.
LEGACY = [replace(call, tier="legacy") if call.nr == 63 else call for call in CALLS]


def test_every_number_has_a_handler() -> None:
    source = emit_c.c_source(LEGACY)
    handlers = re.findall(r"^    \[(\d+)\] = (\w+),$", source, re.MULTILINE)
    table = {int(nr): name for nr, name in handlers if name != "NO_CALL"}
    assert sorted(table) == list(range(470))
    assert (table[39], table[18], table[63], table[400]) == (
        "sys_getpid", "exo_pass", "exo_legacy", "exo_none",
    )  # fmt: skip


def test_python_module_holds_the_same_rows() -> None:
    rows = ModuleType("rows")
    exec(emit_python.python_source(LEGACY, TYPES), rows.__dict__)
    assert len(rows.NAMES) == 470
    assert rows.NAMES[257] == "openat"
    assert rows.NAMES[400] is None
    assert rows.ROWS[63] == (
        "uname", "legacy", "system", (("name", "out", "utsname", 390, -1, "one"),), "int",
    )  # fmt: skip
    assert rows.SIZES["pollfd"] == 8
    assert rows.STRUCTS["timespec"] == (("tv_sec", "s64", 0), ("tv_nsec", "long", 8))
    assert rows.SETS["seek_whence"][2][1] == "SEEK_CUR"


def test_docs_name_servers_and_deviations(tmp_path: Path) -> None:
    native, python = tmp_path / "native", tmp_path / "syscalls"
    native.mkdir()
    python.mkdir()
    (native / "process.c").write_text(
        "/* DIFFERS: first line\n * and second.\n *\n * Not this. */\nSYSCALL(getpid)\n{\n"
    )
    (python / "system.py").write_text(
        "def sys_uname(task):\n    # DIFFERS: always\n    # so.\n    x\n"
    )
    sources = emit_docs.Sources(tmp_path, native, python)
    page = emit_docs.docs_source(LEGACY, {38: "ENOSYS"}, sources)
    assert "| 39 | getpid | fast | native/process.c |  |" in page
    assert "| 63 | uname | legacy | syscalls/system.py |  |" in page
    assert "| 57 | fork | hybrid | not written yet |  |" in page
    assert "- native/process.c:1: first line and second.\n" in page
    assert "- syscalls/system.py:2: always so.\n" in page


def test_runs_as_a_script_without_installation(tmp_path: Path) -> None:
    files = {option: tmp_path / "new" / option for option in ("c", "python", "docs")}
    command = [sys.executable, "-I", str(SCRIPT)]
    for option, path in files.items():
        command += [f"--{option}", str(path)]
    subprocess.run(command, check=True, cwd="/")
    assert all(path.stat().st_size > 10_000 for path in files.values())


def test_unchanged_file_keeps_its_time(tmp_path: Path) -> None:
    path = tmp_path / "table.c"
    assert generate.main(["--c", str(path)]) == 0
    before = path.stat().st_mtime_ns
    assert generate.main(["--c", str(path)]) == 0
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "changes",
    [
        {"args": "nothing fd"},
        {"args": "fd"},
        {"args": "out:nothing buf"},
        {"args": "out:bytes buf"},
        {"args": "out:bytes[count] buf"},
        {"args": "iovec vec"},
        {"error": "EWHAT"},
        {"ret": "fd", "cloexec": "flags:1"},
        {"colour": "red"},
    ],
)
def test_unreadable_rows_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(schema.SchemaError, match=r"^x: "):
        read_row(**changes)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"tier": "slow"}, "tier slow unknown"),
        ({"family": "folder"}, "family folder unknown"),
        ({"ret": "colour"}, "ret colour unknown"),
        ({"tier": "none"}, "error belongs to tier none"),
        ({"error": "EPERM"}, "error belongs to tier none"),
        ({"cloexec": "always"}, "cloexec without ret fd"),
        ({"args": ", ".join(f"int a{n}" for n in range(7))}, "more than six arguments"),
        ({"args": "int a, int a"}, "two of one name"),
        ({"args": "out:bytes[70000] a"}, "larger than the C table can say"),
        ({"args": "out:bits[n] a, int n", "tier": "legacy"}, "cannot be staged"),
        ({"args": "out:bytes[a] b, path a"}, "takes its length from a"),
        ({"args": "out:bytes[*a] b, int a"}, "takes its length from a"),
        ({"args": "path p", "name": "touchat"}, "not preceded by its dirfd"),
        ({"args": "dirfd d, int a, path p"}, "not preceded by its dirfd"),
    ],
)
def test_faulty_rows_are_named(changes: dict[str, object], fault: str) -> None:
    assert fault in "\n".join(schema.problems([read_row(**changes)], TYPES))
