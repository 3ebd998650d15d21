//! The functions of `include/pysync_robust.h`, which documents them.

use std::cell::{Cell, UnsafeCell};
use std::ffi::{c_char, c_int};
use std::io::Write;
use std::time::Duration;

use crate::{Error, Kind, Ownership, RawMutex, State, Timeout};

/// What an acquisition returns that has the mutex of a dead owner.
#[cfg(target_os = "linux")]
const EOWNERDEAD: c_int = libc::EOWNERDEAD;
/// Elsewhere nothing is acquired.
#[cfg(not(target_os = "linux"))]
const EOWNERDEAD: c_int = 130;

/// Room for the longest text of an error and the zero after it. A longer one is cut.
const TEXT_BYTES: usize = 256;

/// `pysync_robust_t`, of which only the address matters here.
#[repr(C)]
struct Block([u64; crate::SIZE / 8]);

/// `pysync_robust_state_t`.
#[repr(C)]
struct CState {
    phase: i32,
    owner: u32,
    inconsistent: bool,
}

thread_local! {
    static LAST_ERROR: Cell<Option<Error>> = const { Cell::new(None) };
    /// The text that the caller of `pysync_robust_error` looks at.
    static TEXT: UnsafeCell<[u8; TEXT_BYTES]> = const { UnsafeCell::new([0; TEXT_BYTES]) };
}

/// Calls `body` with the mutex at `block`.
///
/// # Safety
/// What the header says of `block`.
#[inline]
unsafe fn call(block: *mut Block, body: impl FnOnce(RawMutex) -> Result<c_int, Error>) -> c_int {
    // SAFETY: by the caller's contract the bytes are there, and nothing but this crate accesses them.
    let mutex = unsafe { RawMutex::at(block.cast()) };
    match mutex.and_then(body) {
        Ok(result) => result,
        Err(error) => failed(error),
    }
}

#[cold]
fn failed(error: Error) -> c_int {
    LAST_ERROR.set(Some(error));
    error.errno()
}

fn timeout(nanos: i64) -> Timeout {
    match u64::try_from(nanos) {
        Ok(0) => Timeout::Try,
        Ok(nanos) => Timeout::After(Duration::from_nanos(nanos)),
        Err(_) => Timeout::Never,
    }
}

fn kind(recursive: bool) -> Kind {
    if recursive { Kind::Recursive } else { Kind::Plain }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pysync_robust_initialize(block: *mut Block, recursive: bool) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { call(block, |mutex| mutex.initialize(kind(recursive)).map(|()| 0)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pysync_robust_attach(block: *mut Block) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { call(block, |mutex| mutex.attach().map(|()| 0)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pysync_robust_open(
    block: *mut Block,
    recursive: bool,
    timeout_ns: i64,
    created: *mut bool,
) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe {
        call(block, |mutex| {
            let made = mutex.open(kind(recursive), timeout(timeout_ns))?;
            if !created.is_null() {
                // SAFETY: the caller's variable.
                created.write(made);
            }
            Ok(0)
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pysync_robust_acquire(block: *mut Block, timeout_ns: i64) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe {
        call(block, |mutex| {
            Ok(match mutex.acquire(timeout(timeout_ns))? {
                Ownership::Clean => 0,
                Ownership::OwnerDied => EOWNERDEAD,
            })
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pysync_robust_release(block: *mut Block) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { call(block, |mutex| mutex.release().map(|()| 0)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pysync_robust_make_consistent(block: *mut Block) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { call(block, |mutex| mutex.make_consistent().map(|()| 0)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pysync_robust_give_up(block: *mut Block) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { call(block, |mutex| mutex.give_up().map(|()| 0)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pysync_robust_destroy(block: *mut Block) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { call(block, |mutex| mutex.destroy().map(|()| 0)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pysync_robust_state(block: *mut Block, state: *mut CState) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe {
        call(block, |mutex| {
            let (phase, owner, inconsistent) = match mutex.state()? {
                State::Uninitialized => (0, 0, false),
                State::Initializing => (1, 0, false),
                State::Free => (2, 0, false),
                State::Held { owner, inconsistent } => (3, owner, inconsistent),
                State::OwnerDied => (4, 0, false),
                State::NotRecoverable => (5, 0, false),
                State::Destroyed => (6, 0, false),
            };
            // SAFETY: the caller's variable.
            state.write(CState { phase, owner, inconsistent });
            Ok(0)
        })
    }
}

#[unsafe(no_mangle)]
extern "C" fn pysync_robust_error() -> *const c_char {
    TEXT.with(|text| {
        let start = text.get();
        // SAFETY: the thread's own, and not borrowed: the text of an error calls nothing of this
        // module.
        let (last, text) = unsafe { (*start).split_last_mut().expect("it has room") };
        *last = 0;
        let mut rest = &mut text[..];
        // It fails if there is no room left.
        let _ = match LAST_ERROR.get() {
            Some(error) => write!(rest, "{error}"),
            None => write!(rest, "no call has failed"),
        };
        rest.fill(0);
        start.cast_const().cast()
    })
}
