//! In CPython four of the symbols are for its own objects only. Rust exports every C symbol; the
//! assembler can hide one.

#[cfg(target_os = "linux")]
std::arch::global_asm!(
    ".hidden _PyMutex_LockTimed",
    ".hidden _PyMutex_TryUnlock",
    ".hidden _PyRawMutex_LockSlow",
    ".hidden _PyRawMutex_UnlockSlow",
);
