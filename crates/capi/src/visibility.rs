//! Four of the symbols are hidden in CPython: only its own objects can link to them. Rust exports
//! every C symbol, so the assembler hides these.

#[cfg(target_os = "linux")]
std::arch::global_asm!(
    ".hidden _PyMutex_LockTimed",
    ".hidden _PyMutex_TryUnlock",
    ".hidden _PyRawMutex_LockSlow",
    ".hidden _PyRawMutex_UnlockSlow",
);
