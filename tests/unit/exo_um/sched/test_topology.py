"""Topology as sysfs tells it, of made-up machines and of this one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exo_um.sched import topology


def make(sysfs: Path, cpus: int, per_core: int, per_cache: int, per_node: int) -> None:
    def text(number: int, size: int) -> str:
        first = number // size * size
        return f"{first}-{first + size - 1}\n" if size > 1 else f"{first}\n"

    for number in range(cpus):
        folder = sysfs / "cpu" / f"cpu{number}"
        (folder / "topology").mkdir(parents=True)
        (folder / "topology" / "thread_siblings_list").write_text(text(number, per_core))
        for index, size in enumerate((per_core, per_cache)):
            (folder / "cache" / f"index{index}").mkdir(parents=True)
            (folder / "cache" / f"index{index}" / "level").write_text(f"{index + 2}\n")
            (folder / "cache" / f"index{index}" / "shared_cpu_list").write_text(text(number, size))
    for node in range(cpus // per_node):
        (sysfs / "node" / f"node{node}").mkdir(parents=True)
        (sysfs / "node" / f"node{node}" / "cpulist").write_text(text(node * per_node, per_node))


def test_lists() -> None:
    assert topology.parse_list("0-3,8,10-11\n") == {0, 1, 2, 3, 8, 10, 11}
    assert topology.parse_list("\n") == frozenset()


def test_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, 16, 2, 4, 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)))
    cpus = list(topology.read(tmp_path).values())
    assert cpus[5].siblings == {4, 5}
    assert cpus[5].cache == {4, 5, 6, 7}
    assert cpus[9].node == 1
    assert [cpus[5].distance(cpus[i]) for i in (4, 6, 0, 8)] == [0, 1, 2, 3]
    order = topology.steal_order(cpus, 5)
    assert order == [4, 6, 7, 0, 1, 2, 3, *range(8, 16)]


def test_nothing_told(tmp_path: Path) -> None:
    cpus = topology.read(tmp_path)
    assert set(cpus) == os.sched_getaffinity(0)
    assert all(cpu.cache == {number} for number, cpu in cpus.items())


def test_this_machine() -> None:
    cpus = topology.read()
    for number, cpu in cpus.items():
        assert number in cpu.siblings
        assert cpu.distance(cpu) == 0
    for index in range(len(cpus)):
        order = topology.steal_order(list(cpus.values()), index)
        assert sorted([index, *order]) == list(range(len(cpus)))
