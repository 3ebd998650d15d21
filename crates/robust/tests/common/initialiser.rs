//! Child processes, and one that stops half way through initialising a mutex.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst};

use pysync_robust::Kind;
use pysync_testing::{child_succeeds, wait_until};

use super::{Bytes, CLAIM, FNV, STATE, map_shared, mix};

/// A child of a fork, killed when it is dropped.
pub(crate) struct Child {
    pid: libc::pid_t,
}

impl Child {
    /// A child that does `job` and exits with 0 if that returns true.
    pub(crate) fn start(job: impl FnOnce() -> bool) -> Self {
        // What the crate finds out once in a process must not be half found at the fork.
        _ = Bytes::zeroed().mutex().state();
        // SAFETY: the child runs `job` and leaves by `_exit`, unwinding nothing of the parent's.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
        if pid == 0 {
            // SAFETY: asks for a signal to this process when the thread that has forked it ends.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let ok = catch_unwind(AssertUnwindSafe(job)).unwrap_or(false);
            // SAFETY: ends the process.
            unsafe { libc::_exit(if ok { 0 } else { 1 }) };
        }
        Self { pid }
    }

    /// Waits for its end; panics unless it succeeds.
    pub(crate) fn succeeds(mut self) {
        child_succeeds(std::mem::take(&mut self.pid));
    }

    /// Kills it. It is a zombie after that, until it is dropped.
    pub(crate) fn kill(&self) {
        // SAFETY: our own child, which has not been waited for. A zeroed siginfo_t is a valid one.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let options = libc::WEXITED | libc::WNOWAIT;
            while libc::waitid(libc::P_PID, self.pid as libc::id_t, &mut info, options) != 0 {
                assert_eq!(io::Error::last_os_error().kind(), io::ErrorKind::Interrupted);
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.pid != 0 {
            self.kill();
            // SAFETY: our own child, and a zombie.
            unsafe { libc::waitpid(self.pid, ptr::null_mut(), 0) };
        }
    }
}

/// A process that has claimed a block and does not go on until it is told. The block lies across two
/// pages: the process may write to the second, where the claim is, and not to the first, where the
/// state is.
pub(crate) struct Initialiser {
    child: Child,
    bytes: Bytes,
    stop: &'static Stop,
}

/// What the process and its parent tell each other, at the end of the mapping.
struct Stop {
    /// Where the process has first tried to write to.
    at: AtomicUsize,
    go_on: AtomicBool,
}

static FIRST_PAGE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static STOP: AtomicPtr<Stop> = AtomicPtr::new(ptr::null_mut());

fn page() -> usize {
    // SAFETY: only asks.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// The process has tried to write to the first page.
extern "C" fn stop(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the words are in the mapping. `poll` and `mprotect` may be called by a handler.
    unsafe {
        let stop = &*STOP.load(SeqCst);
        stop.at.store((*info).si_addr().addr(), SeqCst);
        while !stop.go_on.load(SeqCst) {
            libc::poll(ptr::null_mut(), 0, 1);
        }
        let both = libc::PROT_READ | libc::PROT_WRITE;
        libc::mprotect(FIRST_PAGE.load(SeqCst).cast(), page(), both);
    }
}

impl Initialiser {
    /// Returns once the process has its claim. The caller keeps a watchdog.
    pub(crate) fn start(kind: Kind) -> Self {
        let mapping = map_shared(2 * page());
        // SAFETY: within the mapping, which stays.
        let bytes = unsafe { Bytes::mapped(mapping.add(page() - CLAIM)) };
        // SAFETY: as above; at the end of the second page. Zeroes are a valid value.
        let mark = unsafe { &*mapping.add(2 * page() - size_of::<Stop>()).cast::<Stop>() };
        let child = Child::start(|| {
            FIRST_PAGE.store(mapping, SeqCst);
            STOP.store(ptr::from_ref(mark).cast_mut(), SeqCst);
            // SAFETY: a zeroed sigaction is an empty one; the handler is made for this.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                let handler: extern "C" fn(_, _, _) = stop;
                action.sa_sigaction = handler as usize;
                action.sa_flags = libc::SA_SIGINFO;
                assert_eq!(libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut()), 0);
                assert_eq!(libc::mprotect(mapping.cast(), page(), libc::PROT_READ), 0);
            }
            bytes.mutex().initialize(kind).is_ok()
        });
        wait_until(|| mark.at.load(SeqCst) != 0);
        // What was there before must be no mutex from here on.
        let first = bytes.as_ptr().addr() + STATE;
        assert_eq!(mark.at.load(SeqCst), first, "its first store is not to the state");
        assert_ne!(bytes.u64(CLAIM).load(SeqCst), 0, "it has no claim");
        Self { child, bytes, stop: mark }
    }

    /// The block, which this process may write to.
    pub(crate) fn bytes(&self) -> Bytes {
        self.bytes
    }

    /// Its claim, which is the same for each block.
    pub(crate) fn claim(&self) -> u64 {
        self.bytes.u64(CLAIM).load(SeqCst)
    }

    /// The claim that it would have in another pid namespace, or with another start: `change` is done
    /// to what is hashed by the claim's last 18 bits.
    pub(crate) fn claim_but(&self, boot: u64, change: impl FnOnce(u64) -> u64) -> u64 {
        let named = change(self.claim() & !0x3_ffff);
        named | mix(mix(FNV, named), boot) & 0x3_ffff
    }

    /// Goes on, and makes the mutex.
    pub(crate) fn finish(self) {
        self.stop.go_on.store(true, SeqCst);
        self.child.succeeds();
    }

    /// Kills it. It is a zombie after that, until it is dropped.
    pub(crate) fn kill(&self) {
        self.child.kill();
    }
}
