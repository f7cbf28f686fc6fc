"""Templates by which native/host/drainline.c writes lines, made from the table of calls.

A call gets one when it was met first; and words, which are names of constants, when it is met with
values that have none yet. Calls whose lines say more than that stay posix_x.decode's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from posix_x.table.rows import ROWS, SETS, SIZES

from exo_um.bindings import ffi, lib
from posix_x.decode.files import open_text
from posix_x.decode.line import SPECIAL
from posix_x.decode.others import HEXADECIMAL, NARROWER, narrowed
from posix_x.decode.structs import mode_text
from posix_x.decode.text import flags, signed
from posix_x.decode.values import SIGNED, number
from posix_x.decode.view import RESULTS, error_text

if TYPE_CHECKING:
    from posix_x.decode.view import View

NAME_SIZE = 31
RESULT_OPS = {"mode": None, "fd": "SIGNED", "uid": "UNSIGNED", "gid": "UNSIGNED", "addr": "ADDRESS"}
ADDRESSES = ("mmap", "mremap", "brk", "shmat")
OPENS = ("open", "openat")
OPEN_FLAGS = "open flags"
NARROW = "narrow "  # before a set's name: written as posix_x.decode.others.narrowed() does
AS_THE_TABLE_SAYS = ("sendto", "recvfrom")  # where there is no address
Item = dict[str, int]


def is_simple(name: str) -> bool:
    """Whether a template can stand for what the decoder does with a call."""
    return name in OPENS or name in AS_THE_TABLE_SAYS or SPECIAL[name] is narrowed


class Templates:
    """What a drain was told of how calls are written."""

    def __init__(self, drain: Any, verbose: bool) -> None:
        """Tell a drain; verbose: structs are written whole, which it cannot."""
        self._drain = drain
        self._verbose = verbose
        self._items: dict[int, list[Item] | None] = {}
        self._sets: dict[str, int] = {}
        self._names: dict[int, str] = {}

    def learn(self, view: View) -> None:
        """Have a call's like be written without us, if that is possible."""
        if view.nr not in self._items:
            self._items[view.nr] = self._define(view.nr)
        items = self._items[view.nr]
        for item in items or ():
            if item["op"] == lib.EXO_ITEM_WORD:
                self._teach_value(view, item)
            elif item["op"] == lib.EXO_ITEM_STAT and not view.failed:
                self._teach_mode(view, item)
        if items is not None and view.failed:
            assert view.result is not None
            self._teach(lib.EXO_WORDS_ERROR, -view.result, error_text(-view.result))

    def _teach(self, group: int, value: int, text: str) -> None:
        data = text.encode()
        lib.exo_drain_teach(self._drain, group, value, data, len(data))

    def _teach_value(self, view: View, item: Item) -> None:
        value = view.args[item["arg"]] & (1 << 8 * item["size"]) - 1
        name = self._names[item["set"]]
        self._teach(item["set"], value, self._word(view, name, value, item["size"]))

    def _word(self, view: View, name: str, value: int, size: int) -> str:
        if name == OPEN_FLAGS:
            return open_text(value)
        if name.startswith(NARROW):
            name = name.removeprefix(NARROW)
            return flags(name, value if SETS[name][0] == "bits" else signed(value, size))
        return number(view, name, value)

    def _teach_mode(self, view: View, item: Item) -> None:
        data = view.after.peek(view.args[item["arg"]] + 24, 4)
        mode = int.from_bytes(data, "little")
        if len(data) == 4:
            self._teach(lib.EXO_WORDS_MODE, mode, mode_text(mode))

    def _set(self, name: str) -> int:
        if name not in self._sets:
            self._sets[name] = lib.EXO_WORDS_OTHER + len(self._sets)
            self._names[self._sets[name]] = name
        return self._sets[name]

    def _define(self, nr: int) -> list[Item] | None:
        """Tell the drain how a call is written; None: it cannot."""
        row = ROWS.get(nr)
        if row is None or len(row[0]) > NAME_SIZE or row[0] in RESULTS:
            return None
        name, result = row[0], row[4]
        op = "ADDRESS" if name in ADDRESSES else RESULT_OPS.get(result, "SIGNED")
        if op is None or result == "none" or (name in SPECIAL and not is_simple(name)):
            return None
        items = self._open(nr) if name in OPENS else self._plain(nr)
        form = ffi.new("struct exo_template *")
        form.count, form.name_size = len(items), len(name)
        form.result, form.result_size = getattr(lib, f"EXO_ITEM_{op}"), 4 if op == "UNSIGNED" else 8
        form.name = name.encode()
        for place, item in zip(form.items, items, strict=False):
            for key, value in item.items():
                setattr(place, key, value)
        lib.exo_drain_define(self._drain, nr, form)
        return items

    def _plain(self, nr: int) -> list[Item]:
        return [self._item(nr, i) for i in range(len(ROWS[nr][3]))]

    def _open(self, nr: int) -> list[Item]:
        """Return open(2)'s: its flags are in strace's order, the mode is there if it is of use."""
        items = self._plain(nr)
        flags = items[-2]
        flags |= {"op": lib.EXO_ITEM_WORD, "size": 4, "set": self._set(OPEN_FLAGS)}
        items[-1] |= {"op": lib.EXO_ITEM_OCTAL, "size": 2, "if_created": 1, "length": flags["arg"]}
        return items

    def _item(self, nr: int, i: int) -> Item:
        _, kind, type_, _, length, form = ROWS[nr][3][i]
        item = {"arg": i, "size": 8}
        if kind in ("path", "str"):
            return item | {"op": lib.EXO_ITEM_PATH if kind == "path" else lib.EXO_ITEM_STRING}
        name = ROWS[nr][0]
        if (name, i) in NARROWER:
            kind_of = NARROWER[name, i]
            size = 8 if SETS[kind_of][0] == "bits" else 4
            return item | {
                "op": lib.EXO_ITEM_WORD,
                "size": size,
                "set": self._set(NARROW + kind_of),
            }
        if (name, i) in HEXADECIMAL:
            return item | {"op": lib.EXO_ITEM_HEX, "size": SIZES[type_]}
        if kind not in ("in", "out", "inout"):
            return item | self._scalar(type_)
        if type_ == "bytes" and form != "deref" and kind != "inout" and length >= 0:
            narrow = ROWS[nr][3][length][2] in ("int", "uint")
            op = lib.EXO_ITEM_BYTES_OUT if kind == "out" else lib.EXO_ITEM_BYTES_IN
            by_result = int(kind == "out" and ROWS[nr][4] == "size")
            item |= {"op": op, "length": length, "length_size": 4 if narrow else 8}
            return item | {"by_result": by_result}
        if type_ == "stat" and kind == "out" and form == "" and not self._verbose:
            return item | {"op": lib.EXO_ITEM_STAT}
        return item | {"op": lib.EXO_ITEM_POINTER_OUT if kind == "out" else lib.EXO_ITEM_POINTER_IN}

    def _scalar(self, type_: str) -> Item:
        size = SIZES[type_]
        if type_ in SETS or type_ == "key":
            return {"op": lib.EXO_ITEM_WORD, "size": size, "set": self._set(type_)}
        ops = {
            "dirfd": lib.EXO_ITEM_DIRECTORY,
            "uid": lib.EXO_ITEM_ID,
            "gid": lib.EXO_ITEM_ID,
            "mode": lib.EXO_ITEM_OCTAL,
            "addr": lib.EXO_ITEM_ADDRESS,
        }
        plain = lib.EXO_ITEM_SIGNED if type_ in SIGNED else lib.EXO_ITEM_UNSIGNED
        return {"op": ops.get(type_, plain), "size": 2 if type_ == "mode" else size}
