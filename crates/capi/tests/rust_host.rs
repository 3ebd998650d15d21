//! The C symbols in a Rust program that is not CPython, so that Miri sees both sides: what C
//! callers leave uninitialised, how they alias what they pass, and the locks' data races.
//!
//! ```sh
//! MIRIFLAGS=-Zmiri-strict-provenance cargo +nightly miri test -p pysync-capi --test rust_host
//! ```
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]
#![allow(non_snake_case, reason = "the names are C's")]

// For its C symbols.
extern crate pysync_capi as _;

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU16, AtomicU32, AtomicU64};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use pysync_testing::{together, wait_until, watchdog};

const _: () = if let Some(build) = option_env!("PYSYNC_CPYTHON") {
    assert!(build.is_empty(), "the host has the layouts of include/pysync.h, not of a CPython");
};

/// How often two threads fight over a lock.
const ROUNDS: usize = if cfg!(miri) { 12 } else { 5_000 };

/// `include/pysync.h`, as far as it is used here, with pointers where C has a `uintptr_t` that
/// keeps one.
mod c {
    use super::*;

    pub(super) const DETACHED: i32 = 0;
    pub(super) const ATTACHED: i32 = 1;
    pub(super) const LOCKED: u8 = 1;
    pub(super) const HAS_PARKED: u8 = 2;
    pub(super) const INACTIVE: usize = 1;
    pub(super) const TWO_MUTEXES: usize = 2;
    pub(super) const PARK_OK: c_int = 0;
    pub(super) const PARK_AGAIN: c_int = -1;
    pub(super) const PARK_TIMEOUT: c_int = -2;

    /// `PyMutex`, and the `PyObject` that has nothing else.
    pub(super) type Mutex = AtomicU8;

    #[repr(C)]
    pub(super) struct Section {
        pub(super) prev: *mut c_void,
        pub(super) mutex: *const Mutex,
    }

    #[repr(C)]
    pub(super) struct Section2 {
        pub(super) base: Section,
        pub(super) mutex2: *const Mutex,
    }

    #[repr(C)]
    pub(super) struct ThreadState {
        pub(super) state: AtomicI32,
        pub(super) critical_section: UnsafeCell<*mut c_void>,
    }

    #[repr(C)]
    pub(super) struct RecursiveMutex {
        pub(super) mutex: Mutex,
        pub(super) thread: AtomicU64,
        pub(super) level: AtomicUsize,
    }

    pub(super) type Semaphore = [u64; 4];

    // The types are compared with the headers' in `layout/layout.c`, which says that the pointers
    // here are words there.
    #[allow(clashing_extern_declarations, reason = "the same layout by another name")]
    unsafe extern "C" {
        pub(super) fn PyMutex_Lock(m: *const Mutex);
        pub(super) fn PyMutex_Unlock(m: *const Mutex);
        pub(super) fn _PyMutex_LockTimed(m: *const Mutex, timeout: i64, flags: c_uint) -> c_int;
        pub(super) fn _PyMutex_TryUnlock(m: *const Mutex) -> c_int;
        pub(super) fn _PyRawMutex_LockSlow(m: *const AtomicPtr<c_void>);
        pub(super) fn _PyRawMutex_UnlockSlow(m: *const AtomicPtr<c_void>);
        pub(super) fn _PyEvent_IsSet(event: *const AtomicU8) -> c_int;
        pub(super) fn _PyEvent_Notify(event: *const AtomicU8);
        pub(super) fn PyEvent_Wait(event: *const AtomicU8);
        pub(super) fn _PyOnceFlag_CallOnceSlow(
            flag: *const AtomicU8,
            f: unsafe extern "C" fn(*mut c_void) -> c_int,
            arg: *mut c_void,
        ) -> c_int;
        pub(super) fn _PyRecursiveMutex_Lock(m: *const RecursiveMutex);
        pub(super) fn _PyRecursiveMutex_Unlock(m: *const RecursiveMutex);
        pub(super) fn _PyRWMutex_RLock(rw: *const AtomicUsize);
        pub(super) fn _PyRWMutex_RUnlock(rw: *const AtomicUsize);
        pub(super) fn _PyRWMutex_Lock(rw: *const AtomicUsize);
        pub(super) fn _PyRWMutex_Unlock(rw: *const AtomicUsize);
        pub(super) fn _PySeqLock_LockWrite(lock: *const AtomicU32);
        pub(super) fn _PySeqLock_UnlockWrite(lock: *const AtomicU32);
        pub(super) fn _PyParkingLot_Park(
            address: *const c_void,
            expected: *const c_void,
            size: usize,
            timeout: i64,
            park_arg: *mut c_void,
            detach: c_int,
        ) -> c_int;
        pub(super) fn _PyParkingLot_Unpark(
            address: *const c_void,
            f: unsafe extern "C" fn(*mut c_void, *mut c_void, c_int),
            arg: *mut c_void,
        );
        pub(super) fn _PyParkingLot_UnparkAll(address: *const c_void);
        pub(super) fn _PySemaphore_Init(semaphore: *mut Semaphore);
        pub(super) fn _PySemaphore_Destroy(semaphore: *mut Semaphore);
        pub(super) fn _PySemaphore_Wait(
            semaphore: *mut Semaphore,
            timeout: i64,
            detach: c_int,
        ) -> c_int;
        pub(super) fn _PySemaphore_Wakeup(semaphore: *mut Semaphore);
        pub(super) fn PyCriticalSection_Begin(c: *mut Section, op: *const Mutex);
        pub(super) fn PyCriticalSection_End(c: *mut Section);
        pub(super) fn PyCriticalSection2_Begin(c: *mut Section2, a: *const Mutex, b: *const Mutex);
        pub(super) fn PyCriticalSection2_End(c: *mut Section2);
        pub(super) fn _PyCriticalSection_BeginSlow(c: *mut Section, m: *const Mutex);
        pub(super) fn _PyCriticalSection2_BeginSlow(
            c: *mut Section2,
            m1: *const Mutex,
            m2: *const Mutex,
            is_m1_locked: c_int,
        );
        pub(super) fn _PyCriticalSection_SuspendAll(tstate: *const ThreadState);
        pub(super) fn _PyCriticalSection_Resume(tstate: *const ThreadState);
    }
}

/// The runtime: a thread state for each thread, and the six functions that the locks import.
mod host {
    use super::*;

    /// How often a thread was detached by a lock.
    pub(super) static DETACHED_BY_LOCKS: AtomicUsize = AtomicUsize::new(0);

    thread_local! {
        static OWN: c::ThreadState = const {
            c::ThreadState {
                state: AtomicI32::new(c::DETACHED),
                critical_section: UnsafeCell::new(ptr::null_mut()),
            }
        };
    }

    /// The calling thread's state.
    pub(super) fn own() -> *const c::ThreadState {
        OWN.with(ptr::from_ref)
    }

    pub(super) fn is_attached() -> bool {
        OWN.with(|own| own.state.load(Ordering::Relaxed) == c::ATTACHED)
    }

    pub(super) fn top() -> *mut c_void {
        // SAFETY: only the thread itself uses the field, and not while we read it.
        OWN.with(|own| unsafe { *own.critical_section.get() })
    }

    pub(super) fn attach() {
        assert!(!is_attached());
        OWN.with(|own| own.state.store(c::ATTACHED, Ordering::Relaxed));
        if !top().is_null() {
            // SAFETY: the calling thread's state, with a section that is suspended.
            unsafe { c::_PyCriticalSection_Resume(own()) };
        }
    }

    pub(super) fn detach() {
        assert!(is_attached());
        if !top().is_null() {
            // SAFETY: the calling thread's state.
            unsafe { c::_PyCriticalSection_SuspendAll(own()) };
        }
        OWN.with(|own| own.state.store(c::DETACHED, Ordering::Relaxed));
    }

    #[unsafe(no_mangle)]
    extern "C" fn PyThreadState_GetUnchecked() -> *const c::ThreadState {
        if is_attached() { own() } else { ptr::null() }
    }

    #[unsafe(no_mangle)]
    extern "C" fn PyEval_AcquireThread(tstate: *const c::ThreadState) {
        assert_eq!(tstate, own());
        attach();
    }

    #[unsafe(no_mangle)]
    extern "C" fn PyEval_ReleaseThread(tstate: *const c::ThreadState) {
        assert_eq!(tstate, own());
        detach();
        DETACHED_BY_LOCKS.fetch_add(1, Ordering::Relaxed);
    }

    #[unsafe(no_mangle)]
    extern "C" fn Py_MakePendingCalls() -> c_int {
        0
    }

    #[unsafe(no_mangle)]
    extern "C" fn PyThread_get_thread_ident_ex() -> u64 {
        own().addr() as u64
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn _Py_FatalErrorFunc(function: *const c_char, message: *const c_char) -> ! {
        // SAFETY: C strings, by the caller's contract.
        let [function, message] = [function, message].map(|s| unsafe { CStr::from_ptr(s) });
        eprintln!("fatal: {function:?}: {message:?}");
        std::process::abort();
    }
}

/// Data that a lock guards; Miri reports a race if it does not.
#[derive(Default)]
struct Guarded(UnsafeCell<usize>);

// SAFETY: used only under the test's lock, by its threads.
unsafe impl Sync for Guarded {}

impl Guarded {
    fn add_one(&self) {
        // SAFETY: the caller holds the test's lock.
        unsafe { *self.0.get() += 1 };
    }

    fn get(&self) -> usize {
        // SAFETY: as above, or the threads have ended.
        unsafe { *self.0.get() }
    }
}

/// Runs `body` on two threads with a state of their own, each with its number.
fn on_two_threads(body: impl Fn(usize) + Sync) {
    let _watchdog = watchdog();
    together(2, |id| {
        host::attach();
        body(id);
        assert!(host::top().is_null());
        host::detach();
    });
}

/// Runs `body` on one.
fn attached(body: impl FnOnce()) {
    host::attach();
    body();
    assert!(host::top().is_null());
    host::detach();
}

/// Pointers to memory as C callers have it on their stacks.
macro_rules! uninit {
    ($($name:ident: $type:ty),*) => {$(
        let mut memory = MaybeUninit::<$type>::uninit();
        let $name = memory.as_mut_ptr();
    )*};
}

fn bits(m: &c::Mutex) -> u8 {
    m.load(Ordering::Relaxed)
}

/// The holder's part: lets the other thread find the lock taken.
fn dawdle(round: usize) {
    if round % 2 == 0 {
        std::thread::yield_now();
    }
}

// SAFETY, in all tests: the objects are references to living ones, sections end in the order in
// which they must, on the thread that began them, and their memory stays where it is until then.

#[test]
fn a_section_begins_in_uninitialised_memory() {
    attached(|| {
        let m = c::Mutex::new(0);
        uninit!(section: c::Section);
        for slow in [false, true] {
            // SAFETY: as above.
            unsafe {
                if slow {
                    c::_PyCriticalSection_BeginSlow(section, &m);
                } else {
                    c::PyCriticalSection_Begin(section, &m);
                }
                assert_eq!(host::top(), section.cast());
                assert_eq!((*section).mutex, &raw const m);
                assert!((*section).prev.is_null());
                assert_eq!(bits(&m), c::LOCKED);
                c::PyCriticalSection_End(section);
            }
            assert_eq!(bits(&m), 0);
        }
    });
}

#[test]
fn a_section_of_two_begins_in_uninitialised_memory() {
    attached(|| {
        let [a, b] = &[c::Mutex::new(0), c::Mutex::new(0)];
        for is_m1_locked in [None, Some(0), Some(1)] {
            uninit!(section: c::Section2);
            // SAFETY: as above.
            unsafe {
                match is_m1_locked {
                    None => c::PyCriticalSection2_Begin(section, b, a),
                    Some(is_m1_locked) => {
                        a.store(is_m1_locked, Ordering::Relaxed);
                        c::_PyCriticalSection2_BeginSlow(section, a, b, is_m1_locked.into());
                    }
                }
                assert_eq!(host::top().addr(), section.addr() | c::TWO_MUTEXES);
                assert!(ptr::eq((*section).base.mutex, a) && ptr::eq((*section).mutex2, b));
                c::PyCriticalSection2_End(section);
            }
            assert_eq!([bits(a), bits(b)], [0, 0]);
        }
        // Of one mutex twice.
        uninit!(section: c::Section2);
        // SAFETY: as above.
        unsafe {
            c::PyCriticalSection2_Begin(section, a, a);
            assert_eq!(host::top(), section.cast());
            c::PyCriticalSection2_End(section);
        }
        assert_eq!(bits(a), 0);
    });
}

#[test]
fn a_detach_suspends_sections_and_an_attach_resumes_the_innermost() {
    attached(|| {
        let [a, b, c] = &[c::Mutex::new(0), c::Mutex::new(0), c::Mutex::new(0)];
        uninit!(outer: c::Section, inner: c::Section2);
        // SAFETY: as above.
        unsafe {
            c::PyCriticalSection_Begin(outer, a);
            c::PyCriticalSection2_Begin(inner, b, c);
            host::detach();
            assert_eq!([a, b, c].map(bits), [0, 0, 0]);
            assert_eq!((*inner).base.prev.addr(), outer.addr() | c::INACTIVE);
            host::attach();
            assert_eq!([a, b, c].map(bits), [0, 1, 1]);
            c::PyCriticalSection2_End(inner);
            assert_eq!([a, b, c].map(bits), [1, 0, 0]);
            c::PyCriticalSection_End(outer);
        }
        assert_eq!([a, b, c].map(bits), [0, 0, 0]);
    });
}

#[test]
fn sections_exclude_in_any_order() {
    let (mutexes, under_a) = ([c::Mutex::new(0), c::Mutex::new(0)], Guarded::default());
    let before = host::DETACHED_BY_LOCKS.load(Ordering::Relaxed);
    on_two_threads(|id| {
        let [a, b] = &mutexes;
        let (first, second) = if id == 0 { (a, b) } else { (b, a) };
        for round in 0..ROUNDS {
            uninit!(outer: c::Section, inner: c::Section);
            uninit!(both: c::Section2);
            // SAFETY: as above.
            unsafe {
                c::PyCriticalSection_Begin(outer, first);
                dawdle(round);
                c::PyCriticalSection_Begin(inner, second);
                if id == 1 {
                    under_a.add_one();
                }
                c::PyCriticalSection_End(inner);
                if id == 0 {
                    under_a.add_one();
                }
                c::PyCriticalSection_End(outer);

                c::PyCriticalSection2_Begin(both, first, second);
                under_a.add_one();
                dawdle(round + 1);
                host::detach();
                host::attach();
                under_a.add_one();
                c::PyCriticalSection2_End(both);
            }
        }
    });
    assert_eq!(under_a.get(), 2 * 3 * ROUNDS);
    assert_eq!([bits(&mutexes[0]), bits(&mutexes[1])], [0, 0]);
    // Native threads may miss one another, Miri's do not.
    assert!(!cfg!(miri) || host::DETACHED_BY_LOCKS.load(Ordering::Relaxed) > before);
}

#[test]
fn a_begin_waits_for_another_thread() {
    let (mutexes, locked) = ([c::Mutex::new(0), c::Mutex::new(0)], AtomicBool::new(false));
    on_two_threads(|id| {
        let [a, b] = &mutexes;
        if id == 0 {
            // SAFETY: as above.
            unsafe { c::PyMutex_Lock(b) };
            locked.store(true, Ordering::Release);
            // Spins, then parks.
            wait_until(|| bits(b) & c::HAS_PARKED != 0);
            // SAFETY: as above.
            unsafe { c::PyMutex_Unlock(b) };
        } else {
            wait_until(|| locked.load(Ordering::Acquire));
            uninit!(outer: c::Section, inner: c::Section2);
            // SAFETY: as above.
            unsafe {
                c::PyCriticalSection_Begin(outer, a);
                c::PyCriticalSection2_Begin(inner, a, b);
                c::PyCriticalSection2_End(inner);
                c::PyCriticalSection_End(outer);
            }
        }
    });
    assert_eq!([bits(&mutexes[0]), bits(&mutexes[1])], [0, 0]);
}

#[test]
fn mutexes_exclude() {
    let (mutex, count) = (c::Mutex::new(0), Guarded::default());
    on_two_threads(|_| {
        for round in 0..ROUNDS {
            // SAFETY: as above.
            unsafe {
                c::PyMutex_Lock(&mutex);
                count.add_one();
                dawdle(round);
                c::PyMutex_Unlock(&mutex);
                // A microsecond.
                if c::_PyMutex_LockTimed(&mutex, 1000, 1) == 1 {
                    count.add_one();
                    assert_eq!(c::_PyMutex_TryUnlock(&mutex), 0);
                } else {
                    c::PyMutex_Lock(&mutex);
                    count.add_one();
                    c::PyMutex_Unlock(&mutex);
                }
            }
        }
    });
    assert_eq!(count.get(), 4 * ROUNDS);
    assert_eq!(bits(&mutex), 0);
}

#[test]
fn the_other_locks_exclude() {
    let raw = (AtomicPtr::new(ptr::null_mut()), Guarded::default());
    let rw = (AtomicUsize::new(0), Guarded::default());
    let seq = (AtomicU32::new(0), Guarded::default());
    let recursive = c::RecursiveMutex {
        mutex: c::Mutex::new(0),
        thread: AtomicU64::new(0),
        level: AtomicUsize::new(0),
    };
    let under_recursive = Guarded::default();
    on_two_threads(|id| {
        for round in 0..ROUNDS {
            // SAFETY: as above.
            unsafe {
                c::_PyRawMutex_LockSlow(&raw.0);
                raw.1.add_one();
                dawdle(round);
                c::_PyRawMutex_UnlockSlow(&raw.0);

                c::_PyRecursiveMutex_Lock(&recursive);
                c::_PyRecursiveMutex_Lock(&recursive);
                under_recursive.add_one();
                dawdle(round);
                c::_PyRecursiveMutex_Unlock(&recursive);
                c::_PyRecursiveMutex_Unlock(&recursive);

                if (round + id).is_multiple_of(2) {
                    c::_PyRWMutex_Lock(&rw.0);
                    rw.1.add_one();
                    dawdle(round + id);
                    c::_PyRWMutex_Unlock(&rw.0);
                } else {
                    c::_PyRWMutex_RLock(&rw.0);
                    assert!(rw.1.get() <= ROUNDS);
                    c::_PyRWMutex_RUnlock(&rw.0);
                }

                c::_PySeqLock_LockWrite(&seq.0);
                seq.1.add_one();
                c::_PySeqLock_UnlockWrite(&seq.0);
            }
        }
    });
    assert_eq!([&raw.1, &under_recursive, &seq.1].map(Guarded::get), [2 * ROUNDS; 3]);
    assert_eq!(rw.1.get(), ROUNDS);
}

#[test]
fn events_and_once_flags_publish() {
    unsafe extern "C" fn count_once(arg: *mut c_void) -> c_int {
        // SAFETY: what the test passes.
        unsafe { &*arg.cast::<Guarded>() }.add_one();
        0
    }
    struct Round {
        event: AtomicU8,
        once: AtomicU8,
        told: Guarded,
        done: Guarded,
    }
    let new = || Round {
        event: AtomicU8::new(0),
        once: AtomicU8::new(0),
        told: Guarded::default(),
        done: Guarded::default(),
    };
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| new()).collect();
    on_two_threads(|id| {
        for (i, round) in rounds.iter().enumerate() {
            // SAFETY: as above.
            unsafe {
                if i % 2 == id {
                    dawdle(i / 2);
                    round.told.add_one();
                    c::_PyEvent_Notify(&round.event);
                }
                c::PyEvent_Wait(&round.event);
                assert_eq!(c::_PyEvent_IsSet(&round.event), 1);
                assert_eq!(round.told.get(), 1);

                let arg = (&raw const round.done).cast_mut().cast();
                assert_eq!(c::_PyOnceFlag_CallOnceSlow(&round.once, count_once, arg), 0);
                assert_eq!(round.done.get(), 1);
            }
        }
    });
}

/// What an unparker finds out.
struct Found {
    park_arg: *mut c_void,
    has_more_waiters: c_int,
}

unsafe extern "C" fn find(arg: *mut c_void, park_arg: *mut c_void, has_more_waiters: c_int) {
    // SAFETY: what `unpark` passes.
    unsafe { *arg.cast() = Found { park_arg, has_more_waiters } };
}

fn unpark(address: *const c_void) -> Found {
    let mut found = Found { park_arg: ptr::null_mut(), has_more_waiters: 0 };
    // SAFETY: any address is a key, and `find` takes such an argument.
    unsafe { c::_PyParkingLot_Unpark(address, find, (&raw mut found).cast()) };
    found
}

#[test]
fn threads_park_on_words_of_four_sizes() {
    fn on<T: Copy + Sync, A: Sync>(word: &A, expected: T, other: T) {
        let (token, all) = (Guarded::default(), size_of::<T>() == 2);
        let park = |expected: T, timeout| {
            let (word, expected) = (ptr::from_ref(word).cast(), (&raw const expected).cast());
            let token = (&raw const token).cast_mut().cast();
            // SAFETY: an atomic of this size, and a value of it.
            unsafe { c::_PyParkingLot_Park(word, expected, size_of::<T>(), timeout, token, 1) }
        };
        let (waits, woken) = (AtomicBool::new(false), AtomicBool::new(false));
        on_two_threads(|id| {
            if id == 0 {
                assert_eq!(park(other, -1), c::PARK_AGAIN);
                assert_eq!(park(expected, 1000), c::PARK_TIMEOUT);
                waits.store(true, Ordering::Release);
                assert_eq!(park(expected, -1), c::PARK_OK);
                woken.store(true, Ordering::Release);
                return;
            }
            let word = ptr::from_ref(word).cast();
            wait_until(|| waits.load(Ordering::Acquire));
            wait_until(|| {
                if all {
                    // SAFETY: any address is a key.
                    unsafe { c::_PyParkingLot_UnparkAll(word) };
                } else {
                    let found = unpark(word);
                    assert!(found.park_arg.is_null() || ptr::eq(found.park_arg.cast(), &token));
                    assert_eq!(found.has_more_waiters, 0);
                }
                woken.load(Ordering::Acquire)
            });
        });
    }
    on(&AtomicU8::new(7), 7_u8, 8_u8);
    on(&AtomicU16::new(0x0700), 0x0700_u16, 0x0800_u16);
    on(&AtomicU32::new(0x0700_0000), 0x0700_0000_u32, 0x0800_0000_u32);
    on(&AtomicU64::new(7 << 56), 7_u64 << 56, 8_u64 << 56);
}

#[test]
fn a_semaphore_begins_in_uninitialised_memory() {
    struct Pair(*mut c::Semaphore, *mut c::Semaphore);
    // SAFETY: semaphores are for several threads.
    unsafe impl Sync for Pair {}

    uninit!(ping: c::Semaphore, pong: c::Semaphore);
    let (pair, baton) = (Pair(ping, pong), Guarded::default());
    // SAFETY: room for a semaphore each, here and below.
    unsafe {
        c::_PySemaphore_Init(pair.0);
        c::_PySemaphore_Init(pair.1);
    }
    on_two_threads(|id| {
        let pair = &pair;
        let (own, others) = if id == 0 { (pair.0, pair.1) } else { (pair.1, pair.0) };
        for round in 0..ROUNDS {
            if round > 0 || id == 1 {
                // SAFETY: set up above. (Signals do not end it, since there are none.)
                let status = unsafe { c::_PySemaphore_Wait(own, -1, (round % 2) as c_int) };
                assert_eq!(status, c::PARK_OK);
            }
            baton.add_one();
            // SAFETY: set up above.
            unsafe { c::_PySemaphore_Wakeup(others) };
        }
    });
    assert_eq!(baton.get(), 2 * ROUNDS);
    // SAFETY: set up above, and no thread uses them any more.
    unsafe {
        c::_PySemaphore_Destroy(pair.0);
        c::_PySemaphore_Destroy(pair.1);
    }
}
