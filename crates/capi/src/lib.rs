//! The C symbols of CPython's `lock.o`, `parking_lot.o` and `critical_section.o`, over pysync.
//!
//! Linked in place of these three objects, they make a free-threaded CPython 3.13 run on pysync:
//! `cargo xtask cpython` builds one, and `docs/drop-in.md` says how. Linked into another program
//! with `include/pysync.h`, they are the same locks for C. Either way the program around them
//! brings the functions of `imports`: what a lock asks of a runtime.
//!
//! Nothing here decides anything: each symbol is one call into the layers with the runtime
//! `runtime::CPython`. `docs/abi.md` lists them.
//!
//! # Rules of the house
//! The symbols are called before the interpreter is initialised, without a thread state, from
//! its allocator, from signal-rained threads, and between a call that failed and the look at its
//! `errno`. So there is no allocation, no lock or other type of `std::sync` but the atomics, no
//! thread-local with a destructor; each function leaves `errno` as it was; and nothing that must
//! be dropped is alive across a call that attaches a thread, which may never return (the layers' guard
//! against a panic there needs no dropping in a build whose panics abort).
//!
//! Misuse ends in `_Py_FatalErrorFunc`. Where the layers cannot go on, with a thread queued, they
//! write to descriptor 2, without the lock of stderr, and abort. A panic would be a defect of
//! ours, and aborts too (profile `dropin`), by way of std's hook, which takes that lock.
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
