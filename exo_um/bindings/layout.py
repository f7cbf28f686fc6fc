"""Offsets and sizes of the C headers' structs, and numpy dtypes made of them: nothing by hand."""

from __future__ import annotations

from exo_um.bindings import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np


def constant(name: str) -> int:
    """Return an integer #define of the headers."""
    return int(getattr(lib, name))


def offset(struct: str, *path: str) -> int:
    """Return the offset in bytes of a field of `struct`, or of a field of that field."""
    return int(ffi.offsetof(f"struct {struct}", *path))


def size(struct: str) -> int:
    """Return the size in bytes of `struct`."""
    return int(ffi.sizeof(f"struct {struct}"))


def _dtype_of(kind: Any) -> Any:
    import numpy as np

    if kind.kind == "array":
        return (_dtype_of(kind.item), (kind.length,))
    if kind.kind == "struct":
        return dtype(kind.cname.removeprefix("struct "))
    prefix = "i" if kind.cname.startswith("int") else "u"
    return np.dtype(f"{prefix}{ffi.sizeof(kind)}")


def dtype(struct: str) -> np.dtype[np.void]:
    """Return a numpy dtype with the fields of `struct`, at its offsets."""
    import numpy as np

    kind = ffi.typeof(f"struct {struct}")
    names = [name for name, _ in kind.fields]
    return np.dtype(
        {
            "names": names,
            "formats": [_dtype_of(field.type) for _, field in kind.fields],
            "offsets": [field.offset for _, field in kind.fields],
            "itemsize": ffi.sizeof(kind),
        }
    )
