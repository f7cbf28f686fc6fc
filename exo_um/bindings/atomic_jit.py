"""Atomic operations on memory by address, for numba: the one place where LLVM is spoken to.

numba has none of its own for the CPU. Addresses and values are int64, smaller ones zero-extended;
what is there must be aligned to its size. Orders are those of C11 (7.17.3): loads acquire, stores
release, read-modify-writes are sequentially consistent. A wrong address is a SIGSEGV.

With NUMBA_DISABLE_JIT=1 the same names are atomic_plain's.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from llvmlite import binding, ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    _F = TypeVar("_F")

binding.initialize_native_asmparser()  # for pause, rdtscp and syscall

_WORD = ir.IntType(64)


def _pointer(builder: Any, address: Any, bits: int) -> Any:
    return builder.inttoptr(address, ir.IntType(bits).as_pointer())


def _words(context: Any, builder: Any, signature: Any, args: Any) -> list[Any]:
    """Return the arguments as 64-bit words."""
    return [
        context.cast(builder, arg, kind, types.int64)
        for arg, kind in zip(args, signature.args, strict=True)
    ]


def _narrow(builder: Any, word: Any, bits: int) -> Any:
    return word if bits == 64 else builder.trunc(word, ir.IntType(bits))


def _widen(builder: Any, value: Any) -> Any:
    return value if value.type == _WORD else builder.zext(value, _WORD)


def _make_load(bits: int, ordering: str) -> Any:
    def load(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            (at,) = _words(context, builder, signature, args)
            return _widen(
                builder, builder.load_atomic(_pointer(builder, at, bits), ordering, bits // 8)
            )

        return types.int64(address), codegen

    return intrinsic(load)


def _make_plain_load(bits: int) -> Any:
    """Make a load of what nobody writes any more, which the compiler may do once."""

    def load(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            (at,) = _words(context, builder, signature, args)
            return _widen(builder, builder.load(_pointer(builder, at, bits)))

        return types.int64(address), codegen

    return intrinsic(load)


def _make_store(bits: int, ordering: str) -> Any:
    def store(typingctx: Any, address: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            at, new = _words(context, builder, signature, args)
            new = _narrow(builder, new, bits)
            builder.store_atomic(new, _pointer(builder, at, bits), ordering, bits // 8)
            return context.get_dummy_value()

        return types.void(address, value), codegen

    return intrinsic(store)


def _make_rmw(bits: int, operation: str) -> Any:
    def rmw(typingctx: Any, address: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            at, operand = _words(context, builder, signature, args)
            operand = _narrow(builder, operand, bits)
            pointer = _pointer(builder, at, bits)
            return _widen(builder, builder.atomic_rmw(operation, pointer, operand, "seq_cst"))

        return types.int64(address, value), codegen

    return intrinsic(rmw)


def _make_compare_exchange(bits: int) -> Any:
    def compare_exchange(typingctx: Any, address: Any, expected: Any, desired: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            at, old, new = _words(context, builder, signature, args)
            old, new = _narrow(builder, old, bits), _narrow(builder, new, bits)
            pair = builder.cmpxchg(_pointer(builder, at, bits), old, new, "seq_cst", "seq_cst")
            return builder.extract_value(pair, 1)

        return types.boolean(address, expected, desired), codegen

    return intrinsic(compare_exchange)


def _fence(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


def _call_asm(builder: Any, result: Any, text: str, constraints: str, args: Any) -> Any:
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(ir.InlineAsm(kind, text, constraints, side_effect=True), args)


def _pause(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _call_asm(builder, ir.VoidType(), "pause", "~{memory}", [])
        return context.get_dummy_value()

    return types.void(), codegen


def _rdtscp(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        text = "rdtscp; shlq $$32, %rdx; orq %rdx, %rax"
        return _call_asm(builder, _WORD, text, "={rax},~{rdx},~{rcx},~{memory},~{flags}", [])

    return types.int64(), codegen


def _here_rdtscp(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        text, others = "rdtscp; movl %ecx, %ecx", "~{rax},~{rdx},~{memory},~{flags}"
        return _call_asm(builder, _WORD, text, f"={{rcx}},{others}", [])

    return types.int64(), codegen


def _here_rdpid(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        text = ".byte 0xf3, 0x0f, 0xc7, 0xf8"  # rdpid %rax, which not every assembler takes
        return _call_asm(builder, _WORD, text, "={rax},~{memory}", [])

    return types.int64(), codegen


def _ordered_cycles(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        text = "lfence; rdtsc; lfence; shlq $$32, %rdx; orq %rdx, %rax"
        return _call_asm(builder, _WORD, text, "={rax},~{rdx},~{memory},~{flags}", [])

    return types.int64(), codegen


def _host_call(typingctx: Any, nr: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words = _words(context, builder, signature, args)
        registers = "{rax},{rdi},{rsi},{rdx},{r10},{r8},{r9}"
        constraints = f"={{rax}},{registers},~{{rcx}},~{{r11}},~{{memory}}"
        return _call_asm(builder, _WORD, "syscall", constraints, words)

    return types.int64(nr, a, b, c, d, e, f), codegen


def _call_native(typingctx: Any, function: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address, *words = _words(context, builder, signature, args)
        kind = ir.FunctionType(ir.IntType(32), [_WORD] * len(words))
        result = builder.call(builder.inttoptr(address, kind.as_pointer()), words)
        return builder.sext(result, _WORD)

    return types.int64(function, a, b, c, d), codegen


def _copy(typingctx: Any, to: Any, source: Any, size: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, source, size = _words(context, builder, signature, args)
        cgutils.raw_memcpy(builder, _pointer(builder, to, 8), _pointer(builder, source, 8), size, 1)
        return context.get_dummy_value()

    return types.void(to, source, size), codegen


if config.DISABLE_JIT:
    from exo_um.bindings.atomic_plain import *  # noqa: F403
else:
    load_acquire_u64 = _make_load(64, "acquire")
    load_acquire_u32 = _make_load(32, "acquire")
    load_acquire_u16 = _make_load(16, "acquire")
    load_plain_u64 = _make_plain_load(64)
    load_plain_u32 = _make_plain_load(32)
    load_relaxed_u64 = _make_load(64, "monotonic")
    load_relaxed_u32 = _make_load(32, "monotonic")
    load_relaxed_u16 = _make_load(16, "monotonic")
    load_relaxed_u8 = _make_load(8, "monotonic")
    store_release_u64 = _make_store(64, "release")
    store_release_u32 = _make_store(32, "release")
    store_relaxed_u64 = _make_store(64, "monotonic")
    store_relaxed_u32 = _make_store(32, "monotonic")
    store_relaxed_u16 = _make_store(16, "monotonic")
    store_relaxed_u8 = _make_store(8, "monotonic")
    fetch_add_u64 = _make_rmw(64, "add")
    fetch_add_u32 = _make_rmw(32, "add")
    exchange_u64 = _make_rmw(64, "xchg")
    exchange_u32 = _make_rmw(32, "xchg")
    fetch_or_u32 = _make_rmw(32, "or")
    compare_exchange_u64 = _make_compare_exchange(64)
    compare_exchange_u32 = _make_compare_exchange(32)
    compare_exchange_u16 = _make_compare_exchange(16)
    full_fence = intrinsic(_fence)
    spin_pause = intrinsic(_pause)
    rdtscp = intrinsic(_rdtscp)
    here_rdtscp = intrinsic(_here_rdtscp)
    here_rdpid = intrinsic(_here_rdpid)
    ordered_cycles = intrinsic(_ordered_cycles)  # nothing is moved past it: for short times
    host_call = intrinsic(_host_call)
    call_native = intrinsic(_call_native)
    copy = intrinsic(_copy)

_compile = njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)


def _digest_sources() -> str:
    """Return a digest of all that is compiled into each other: *_jit.py, and the C layouts."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in [*sorted(package.rglob("*_jit.py")), *package.glob("bindings/_native.*.so")]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


_SOURCES = _digest_sources()


def jit(function: _F) -> _F:
    """Compile a function of ints at its first call, and keep the code for the next process.

    numba would keep it until the function's own file changes; functions of other files that it
    calls, and constants of the C headers, are part of the code as well.
    """
    compiled = _compile(function)
    if not config.DISABLE_JIT:
        kept = compiled._cache._cache_file  # noqa: SLF001 - there is no other way to say so
        kept._source_stamp = (kept._source_stamp, _SOURCES)  # noqa: SLF001
    return compiled  # type: ignore[no-any-return]
