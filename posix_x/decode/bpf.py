"""bpf(2), perf_event_open(2), Landlock: a struct each, of a size that is given."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import special
from posix_x.decode.text import address, flags, hexadecimal, named, quoted
from posix_x.decode.values import number
from posix_x.table.rows import SETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.view import View

# Of each command: fields as name:kind@offset, behind the name of the struct that has them.
# d decimal, x hexadecimal, a address, f a descriptor, n a name, p a path, s a string; else a set.
_NEXT = "start_id:d@0 next_id:d@4 open_flags:x@8"
_LOOKUP = "map_fd:f@0 key:a@8 value:a@16 flags:bpf_elem_flags@24"
_BATCH = "{}keys:a@16 {}count:d@32 map_fd:f@36 elem_flags:bpf_elem_flags@40 flags:x@48"
_BOTH = _BATCH.format("in_batch:a@0 out_batch:a@8 ", "values:a@24 ")
FIELDS = {
    "BPF_MAP_CREATE": "map_type:bpf_map_type@0 key_size:d@4 value_size:d@8 max_entries:d@12"
    " map_flags:bpf_map_flags@16 inner_map_fd:f@20 map_name:n@28",
    "BPF_MAP_LOOKUP_ELEM": _LOOKUP, "BPF_MAP_UPDATE_ELEM": _LOOKUP,
    "BPF_MAP_LOOKUP_AND_DELETE_ELEM": _LOOKUP,
    "BPF_MAP_DELETE_ELEM": "map_fd:f@0 key:a@8",
    "BPF_MAP_GET_NEXT_KEY": "map_fd:f@0 key:a@8 next_key:a@16",
    "BPF_PROG_LOAD": "prog_type:bpf_prog_type@0 insn_cnt:d@4 insns:a@8 license:s@16 log_level:d@24"
    " log_size:d@28 log_buf:a@32",
    "BPF_OBJ_PIN": "pathname:p@0 bpf_fd:f@8 file_flags:x@12",
    "BPF_OBJ_GET": "pathname:p@0 bpf_fd:f@8 file_flags:x@12",
    "BPF_PROG_ATTACH": "target_fd:f@0 attach_bpf_fd:f@4 attach_type:bpf_attach_type@8"
    " attach_flags:x@12 replace_bpf_fd:f@16",
    "BPF_PROG_DETACH": "target_fd:f@0 attach_type:bpf_attach_type@8",
    "BPF_PROG_TEST_RUN": "test prog_fd:f@0 retval:d@4 data_size_in:d@8 data_size_out:d@12"
    " data_in:a@16 data_out:a@24 repeat:d@32 duration:d@36",
    "BPF_PROG_GET_NEXT_ID": _NEXT, "BPF_MAP_GET_NEXT_ID": _NEXT, "BPF_BTF_GET_NEXT_ID": _NEXT,
    "BPF_LINK_GET_NEXT_ID": _NEXT,
    "BPF_PROG_GET_FD_BY_ID": "prog_id:d@0 next_id:d@4 open_flags:x@8",
    "BPF_MAP_GET_FD_BY_ID": "map_id:d@0 next_id:d@4 open_flags:x@8",
    "BPF_BTF_GET_FD_BY_ID": "btf_id:d@0", "BPF_LINK_GET_FD_BY_ID": "link_id:d@0",
    "BPF_OBJ_GET_INFO_BY_FD": "info bpf_fd:f@0 info_len:d@4 info:a@8",
    "BPF_PROG_QUERY": "query target_fd:f@0 attach_type:bpf_attach_type@4 query_flags:x@8"
    " attach_flags:x@12 prog_ids:a@16 prog_cnt:d@24",
    "BPF_RAW_TRACEPOINT_OPEN": "raw_tracepoint name:s@0 prog_fd:f@8",
    "BPF_BTF_LOAD": "btf:a@0 btf_log_buf:a@8 btf_size:d@16 btf_log_size:d@20 btf_log_level:d@24",
    "BPF_MAP_FREEZE": "map_fd:f@0", "BPF_MAP_LOOKUP_BATCH": "batch " + _BOTH,
    "BPF_MAP_LOOKUP_AND_DELETE_BATCH": "batch " + _BOTH,
    "BPF_MAP_UPDATE_BATCH": "batch " + _BATCH.format("", "values:a@24 "),
    "BPF_MAP_DELETE_BATCH": "batch " + _BATCH.format("", ""),
    "BPF_LINK_CREATE": "link_create prog_fd:f@0 target_fd:f@4 attach_type:bpf_attach_type@8"
    " flags:x@12",
    "BPF_LINK_UPDATE": "link_update link_fd:f@0 new_prog_fd:f@4 flags:x@8",
    "BPF_ENABLE_STATS": "", "BPF_ITER_CREATE": "iter_create link_fd:f@0 flags:x@4",
    "BPF_LINK_DETACH": "link_detach link_fd:f@0",
    "BPF_PROG_BIND_MAP": "prog_bind_map prog_fd:f@0 map_fd:f@4 flags:x@8",
}  # fmt: skip
SIZES = {"a": 8, "p": 8, "s": 8, "n": 16, "bpf_elem_flags": 8}


def _field(view: View, kind: str, data: bytes) -> str:
    word, double = int.from_bytes(data[:4], "little"), int.from_bytes(data[:8], "little")
    if kind == "d":
        return str(word)
    if kind == "x":
        return hexadecimal(word)
    if kind == "a":
        return address(double)
    if kind == "f":
        return view.fd(word - (1 << 32) if word >> 31 else word)
    if kind == "n":
        return quoted(data[:16].split(bytes(1))[0], 16)
    if kind in "ps":
        return view.path(double) if kind == "p" else view.string(double)
    return flags(kind, double if kind == "bpf_elem_flags" else word)


@special("bpf")
def _bpf(view: View) -> Iterator[str]:
    yield number(view, "bpf_cmd", view.args[0])
    name, size = SETS["bpf_cmd"][2].get(view.i32(0), ""), view.u32(2)
    data = view.before.peek(view.args[1], min(size, 4096)) if view.args[1] else b""
    words = FIELDS.get(name, "").split()
    group = words.pop(0) if words and ":" not in words[0] else ""
    shown, full = [], 0
    for field in words:
        label, _, rest = field.partition(":")
        kind, _, at = rest.partition("@")
        place = int(at)
        full = place + SIZES.get(kind, 4)
        if data:
            shown.append(f"{label}={_field(view, kind, data[place:].ljust(16, bytes(1)))}")
    text = f"{group}={{{', '.join(shown)}}}" if group else ", ".join(shown)
    more = ", ..." if any(data[full:]) else ""
    yield f"{{{text}{more}}}" if shown else address(view.args[1])
    yield str(size)


BITS = ("disabled", "inherit", "pinned", "exclusive", "exclude_user", "exclude_kernel",
        "exclude_hv", "exclude_idle", "mmap", "comm", "freq", "inherit_stat",
        "enable_on_exec", "task", "watermark")  # fmt: skip
SKIDS = ("arbitrary skid", "constant skid", "requested to have 0 skid", "must have 0 skid")
MORE_BITS = ("mmap_data", "sample_id_all", "exclude_host", "exclude_guest",
             "exclude_callchain_kernel", "exclude_callchain_user", "mmap2", "comm_exec",
             "use_clockid", "context_switch", "write_backward", "namespaces", "ksymbol",
             "bpf_event", "aux_output", "cgroup", "text_poke", "build_id",
             "inherit_thread", "remove_on_exec", "sigtrap")  # fmt: skip
ATTRIBUTES = {64: "PERF_ATTR_SIZE_VER0", 72: "PERF_ATTR_SIZE_VER1", 80: "PERF_ATTR_SIZE_VER2",
              96: "PERF_ATTR_SIZE_VER3", 104: "PERF_ATTR_SIZE_VER4", 112: "PERF_ATTR_SIZE_VER5",
              120: "PERF_ATTR_SIZE_VER6", 128: "PERF_ATTR_SIZE_VER7"}  # fmt: skip


def _attribute(view: View, data: bytes) -> str:
    kind, size, config, period, sample, read, bits = struct.unpack_from("<IIQQQQQ", data)
    name = ATTRIBUTES.get(size) or f"{hexadecimal(size)} /* PERF_ATTR_SIZE_??? */"
    configs = {0: "perf_hw_id", 1: "perf_sw_id"}
    shown = [f"type={named('perf_type', kind)}", f"size={name}"]
    shown.append(
        f"config={named(configs[kind], config) if kind in configs else hexadecimal(config)}"
    )
    shown.append(f"{'sample_freq' if bits >> 10 & 1 else 'sample_period'}={period}")
    shown.append(f"sample_type={flags('perf_sample', sample)}")
    shown.append(f"read_format={flags('perf_read_format', read)}")
    verbose = view.options.verbose
    shown += [f"{n}={bits >> i & 1}" for i, n in enumerate(BITS) if verbose or bits >> i & 1]
    precise = bits >> 15 & 3
    shown.append(f"precise_ip={precise} /* {SKIDS[precise]} */")
    shown += [f"{n}={bits >> 17 + i & 1}" for i, n in enumerate(MORE_BITS)
              if verbose or bits >> 17 + i & 1]  # fmt: skip
    return "{" + ", ".join([*shown, "..."]) + "}"


@special("perf_event_open")
def _perf_event_open(view: View) -> Iterator[str]:
    data = view.before.peek(view.args[0], 64) if view.args[0] else b""
    yield _attribute(view, data) if len(data) == 64 else address(view.args[0])
    yield str(view.i32(1))
    yield str(view.i32(2))
    yield view.fd(view.i32(3))
    yield flags("perf_event_flags", view.args[4])


@special("landlock_create_ruleset")
def _landlock_create_ruleset(view: View) -> Iterator[str]:
    size = view.args[1]
    data = view.before.peek(view.args[0], 8) if view.args[0] and size >= 8 else b""
    rights = flags("landlock_access_fs", int.from_bytes(data, "little"))
    more = ", ..." if size > 8 else ""
    yield f"{{handled_access_fs={rights}{more}}}" if len(data) == 8 else address(view.args[0])
    yield str(size)
    yield flags("landlock_create_flags", view.u32(2))


@special("landlock_add_rule")
def _landlock_add_rule(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield named("landlock_rule", view.u32(1))
    data = view.before.peek(view.args[2], 12) if view.args[2] and view.u32(1) == 1 else b""
    rights = flags("landlock_access_fs", int.from_bytes(data[:8], "little"))
    fd = int.from_bytes(data[8:], "little", signed=True)
    known = len(data) == 12
    yield (
        f"{{allowed_access={rights}, parent_fd={view.fd(fd)}}}" if known else address(view.args[2])
    )
    yield hexadecimal(view.u32(3))
