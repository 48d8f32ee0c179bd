"""The processor that this runs on, as LLVM compiles for it."""

from __future__ import annotations

import llvmlite.binding as llvm


def host_machine() -> llvm.TargetMachine:
    """Return a target for the processor that this runs on; an engine that is given it owns it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )


def engine_of(module: llvm.ModuleRef) -> llvm.ExecutionEngine:
    """Return what holds a module's machine code, made when it is first asked for."""
    return llvm.create_mcjit_compiler(module, host_machine())
