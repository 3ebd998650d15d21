//! The C symbols of CPython's `lock.o`, `parking_lot.o` and `critical_section.o`, over pysync.
//!
//! A free-threaded CPython 3.13 that is linked with these symbols in place of its three objects
//! runs on pysync: `cargo xtask cpython` builds one, and `docs/drop-in.md` says how. Another program
//! includes `include/pysync.h`, and has the same locks for C. In both cases the program defines the
//! functions of `imports`, which are what a lock asks of a runtime.
//!
//! Nothing here decides anything: each symbol is one call into the layers with the runtime
//! `runtime::CPython`. `docs/abi.md` lists the symbols.
//!
//! # Rules
//! CPython calls the symbols before the interpreter is initialised, without a thread state, from
//! its allocator, while signals arrive, and between a call that has failed and the look at its
//! `errno`. So, in this crate:
//! - Nothing allocates.
//! - Nothing of `std::sync` is used but the atomics, and no thread local has a destructor.
//! - Each function leaves `errno` as it was.
//! - Nothing that must be dropped is alive across a call that attaches a thread, which may never
//!   return. (The layers' guard against a panic there needs no drop in a build whose panics
//!   abort.)
//!
//! # How the process ends
//! Misuse ends in `_Py_FatalErrorFunc`. If the layers cannot go on while a thread is queued, they
//! write to descriptor 2, without the lock of stderr, and abort. A panic would be a defect of this
//! crate. It aborts too (profile `dropin`), after std's hook, which takes the lock of stderr.
#![cfg(unix)]
#![allow(non_snake_case, reason = "the names are C's")]

mod critical_section;
mod event;
mod imports;
mod layout;
mod mutex;
mod once;
mod parking_lot;
mod raw_mutex;
mod recursive_mutex;
mod runtime;
mod rw_mutex;
mod semaphore;
mod seq_lock;
mod timeout;
mod visibility;
