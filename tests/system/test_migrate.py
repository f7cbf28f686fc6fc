"""posix-x migrate: the rewritten program does what the original does, on Linux and on exo-um."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_user

BIN = Path(sys.executable).parent
POSIX_X, EXO_CC, EXO_UM = (str(BIN / name) for name in ("posix-x", "exo-cc", "exo-um"))
APP = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(const char *word)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        execlp("true", "true", word, (char *)NULL);
        perror("true");
        _exit(127);
    }
    if (pid < 0)
        return -1;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static int missing(void)
{
    int status;
    pid_t pid;
    if ((pid = fork()) == 0) {
        execl("/nonesuch/program", "program", NULL);
        perror("/nonesuch/program");
        _exit(126);
    } else {
        waitpid(pid, &status, 0);
    }
    return WEXITSTATUS(status);
}

static void redirected(const char *path, char *argv[])
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t child = fork();
    if (!child) {
        dup2(fd, 1);
        close(fd);
        execvp("echo", argv);
        _exit(1);
    }
    close(fd);
    waitpid(child, NULL, 0);
}

static void pass_on(int from, int to)
{
    char piece[64];
    ssize_t size;
    while ((size = read(from, piece, sizeof piece)) > 0)
        if (write(to, piece, size) != size)
            _exit(3);
    close(to);
}

static long shared_sum(size_t size)
{
    volatile char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                                 MAP_ANONYMOUS | MAP_SHARED, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        for (size_t i = 0; i < size; i += 100)
            memory[i] = (char)(i % 127);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    long sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 % 1000003 + memory[i];
    return munmap((void *)memory, size) == 0 ? sum : -2;
}

static int forth[2];

static long through(int lines)
{
    int back[2], in;
    char piece[100];
    long sum = 0;
    ssize_t size;
    if (pipe(forth) < 0 || pipe(back) < 0)
        return -1;
    pid_t passes = fork(), writes;
    if (passes == 0) {
        close(forth[1]);
        close(back[0]);
        pass_on(forth[0], back[1]);
        _exit(0);
    }
    close(forth[0]);
    close(back[1]);
    in = back[0];
    if ((writes = fork()) == 0) {
        close(in);
        for (int i = 0; i < lines; i++) {
            int done = write(forth[1], "some words\n", 11);
            if (done != 11)
                _exit(4);
        }
        _exit(0);
    }
    close(forth[1]);
    while ((size = read(in, piece, sizeof piece)) > 0)
        for (int i = 0; i < size; i++)
            sum = sum * 31 % 1000003 + piece[i];
    close(in);
    waitpid(passes, NULL, 0);
    waitpid(writes, NULL, 0);
    return sum;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 3, ends[2];
    char got[16];
    char *words[] = {"echo", "to a file", NULL};
    for (int i = 0; i < rounds; i++)
        if (run("word") != 0)
            return 1;
    printf("missing: %d\n", missing());
    fflush(stdout);
    redirected("out", words);
    int fd = open("lines", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (int i = 0; i < rounds * 1000; i++) {
        char digit = '0' + i % 10;
        write(fd, &digit, 1);
        write(fd, "\n", 1);
    }
    close(fd);
    write(1, "a", 1);
    write(1, "b", 1);
    write(1, "c\n", 2);
    if (pipe(ends) != 0)
        return 2;
    pid_t writer = fork();
    if (writer == 0) {
        write(ends[1], "from the child", 15);
        _exit(0);
    }
    waitpid(writer, NULL, 0);
    read(ends[0], got, 15);
    puts(got);
    printf("%ld %ld\n", shared_sum(5000), shared_sum(3 << 20));
    void *none = mmap(NULL, 0, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON, -1, 0);
    printf("%d\n", none == MAP_FAILED);
    printf("%ld\n", through(argc > 1 ? 10 : rounds * 2000));
    return 0;
}
"""
# Forks and writes that must stay, and a word of the reason.
STAYS = {
    'if (fork() == 0) { execlp("a", "a", NULL); _exit(1); }': "not kept",
    'pid = fork(); if (pid == 0) { setsid(); execlp("a", "a", NULL); _exit(1); }': "setsid",
    'pid = fork(); if (pid == 0) { execlp("a", "a", NULL); } puts("b");': "goes on",
    'pid = fork(); if (pid == 0) { execl("a", "a", NULL); _exit(1); }': "slash",
    "pid = fork(); if (pid == 0) { execvp(next(), 0); _exit(1); }": "does more",
    'pid = fork(); puts("x"); if (pid == 0) { execlp("a", "a", NULL); _exit(1); }': "at once",
    'for (;;) { write(1, "a", 1); sleep(1); }': "calls sleep",
    'for (int i = 0; i < 9; i++) write(pid, "a", 1);': "packets",
    'for (int i = 0; i < 9; i++) if (write(1, "a", 1) < 0) break;': "result",
    'write(pid, "a", 1); write(pid, "b", 1);': "packets",
    "int ends[2]; pipe(ends); dup2(ends[1], 1);": "another number",
    "int ends[2]; pipe(ends); poll(&pid, ends[0], 1);": "poll",
    "int ends[2]; pipe(ends); fdopen(ends[0], 0);": "fdopen",
    "int ends[2]; pipe(ends); elsewhere(ends);": "gets both fds",
    "int ends[2][2]; pipe(ends[0]);": "no plain array",
    "int ends[2]; pipe2(ends, O_NONBLOCK);": "O_NONBLOCK",
    "int ends[2]; pipe(ends); siglongjmp(pid, 1);": "siglongjmp",
    "pipe(elsewhere);": "declared elsewhere",
    "char *m = mmap(0, 1, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);": "not for reading",
    "int *m = mmap(0, 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON | 1, 0, 0);": "another way",
    "char *m = mmap(here, 1, PROT_NONE, MAP_SHARED | MAP_ANON, -1, 0);": "at an address",
    "char *m = mmap(0, 1, 3, MAP_SHARED, pid, 0);": "nothing is faster",
    "int id = shmget(1, 2, 3);": "by its name",
    "int fd = shm_open(0, 0, 0);": "by its name",
    'system("ls");': "shell",
}


def migrate(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [POSIX_X, "migrate", *argv], capture_output=True, text=True, timeout=30, check=False
    )


def outcome(argv: list[str | Path], folder: Path) -> tuple[object, ...]:
    """Run a program in a new folder; return its status, output and files."""
    folder.mkdir()
    done = subprocess.run(argv, cwd=folder, capture_output=True, timeout=30, check=False)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return done.returncode, done.stdout, done.stderr, files


def test_the_rewritten_program_does_the_same(tmp_path: Path) -> None:
    source, new = tmp_path / "app.c", tmp_path / "new.c"
    source.write_text(APP)
    found = json.loads(migrate("--json", source, "-o", new).stdout)
    done = [one["what"] for one in found if one["done"]]
    assert (
        sorted(done)
        == ["3 writes to 1", "a loop of writes"]
        + ["anonymous shared memory"] * 2
        + ["fork + exec"] * 3
        + ["pipe"] * 3
    )
    assert [one["what"] for one in found if not one["done"]] == ["fork"] * 4
    ends = []
    for name in ("app", "new"):
        argv = [EXO_CC, "-O1", "-w", "-o", tmp_path / name, tmp_path / f"{name}.c"]
        subprocess.run(argv, check=True, timeout=60)
        ends.append(outcome([tmp_path / name], tmp_path / f"{name}-native"))
        ends.append(outcome([EXO_UM, "run", tmp_path / name], tmp_path / f"{name}-exo"))
    assert ends[0][0] == 0
    assert ends[1:] == ends[:1] * 3


def test_fewer_calls_are_made(tmp_path: Path) -> None:
    source, new, stats = tmp_path / "app.c", tmp_path / "new.c", tmp_path / "stats"
    source.write_text(APP)
    migrate(source, "-o", new)
    subprocess.run([EXO_CC, "-O1", "-w", "-o", tmp_path / "new", new], check=True, timeout=60)
    subprocess.run(
        [EXO_UM, "run", "--stats", stats, tmp_path / "new", "3"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=30,
    )
    calls = json.loads(stats.read_text())["calls"]
    assert calls["write"]["calls"] < 3000  # of 6,000 in the loop


@pytest.mark.parametrize("code", STAYS)
def test_what_stays_is_told_with_the_reason(code: str, tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text(f"#include <unistd.h>\nvoid f(int pid) {{ {code} }}\n")
    done = migrate(source)
    assert (done.returncode, done.stdout) == (0, source.read_text())
    assert done.stderr.startswith(f"{source}:2: ")
    assert STAYS[code] in done.stderr


def test_wrong_input_gets_a_line(tmp_path: Path) -> None:
    (tmp_path / "bad.c").write_text("int main( { return }\n")
    for argv, status in (
        ((tmp_path / "bad.c",), 1),
        ((tmp_path / "none.c",), 1),
        ((tmp_path,), 1),
        (("--json", tmp_path / "bad.c"), 2),
        ((), 2),
    ):
        done = migrate(*argv)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1)
