"""What mypy may know of the compiled module: cffi types it at run time."""

from typing import Any

ffi: Any
lib: Any
