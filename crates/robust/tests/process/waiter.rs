//! A process that acquires the mutex, and sleeps until it gets it, while another is swept.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use pysync_robust::{Error, Ownership, Timeout};
use pysync_testing::wait_until;

use crate::common::{Child, Memory, child, state_of};
use crate::region::Next;

/// Whether a process sleeps until it gets the mutex. A busy machine may not run the test while it
/// sleeps, which is for a millisecond at first: then it has done so before.
#[derive(Default)]
pub(crate) struct Sleep {
    pub(crate) announced: Option<Instant>,
}

impl Sleep {
    pub(crate) fn has_begun(&mut self, memory: &Memory, pid: libc::pid_t) -> bool {
        if !memory.has_waiters() {
            return false;
        }
        let since = *self.announced.get_or_insert_with(Instant::now);
        state_of(pid) == Some('S') || since.elapsed() > Duration::from_millis(10)
    }

    pub(crate) fn wait(memory: &Memory, pid: libc::pid_t) {
        let mut sleep = Self::default();
        while !sleep.has_begun(memory, pid) {
            thread::yield_now();
        }
    }
}

/// A process that acquires the mutex each time that it is told to.
pub(crate) struct Waiter {
    pub(crate) process: Child,
    /// It was told to, and the test has not asked for the result.
    pub(crate) is_waiting: bool,
    pub(crate) longest: Duration,
}

// The cells of the waiter.
pub(crate) const GO: usize = 0;
pub(crate) const BEGUN: usize = 1;
pub(crate) const DONE: usize = 2;
pub(crate) const RESULT: usize = 3;
pub(crate) const CLEAN: u32 = 1000;
pub(crate) const OWNER_DIED: u32 = 1001;
pub(crate) const BROKEN: u32 = 1002;

impl Waiter {
    pub(crate) fn new(memory: &Memory) -> Self {
        memory.cell(GO).store(0, SeqCst);
        memory.cell(BEGUN).store(0, SeqCst);
        memory.cell(DONE).store(0, SeqCst);
        let process = child(|| {
            let mutex = memory.mutex();
            for turn in 1.. {
                wait_until(|| memory.cell(GO).load(SeqCst) == turn);
                memory.cell(BEGUN).store(turn, SeqCst);
                let result = match mutex.acquire(Timeout::Never) {
                    Ok(Ownership::Clean) if !memory.data().is_whole() => BROKEN,
                    Ok(Ownership::Clean) => CLEAN,
                    Ok(Ownership::OwnerDied) => {
                        memory.data().repair();
                        mutex.make_consistent().unwrap();
                        OWNER_DIED
                    }
                    Err(error) => error.errno() as u32,
                };
                if result >= CLEAN {
                    mutex.release().unwrap();
                }
                memory.cell(RESULT).store(result, SeqCst);
                memory.cell(DONE).store(turn, SeqCst);
            }
        });
        Self { process, is_waiting: false, longest: Duration::ZERO }
    }

    /// It goes to sleep.
    pub(crate) fn go(&mut self, memory: &Memory) {
        self.is_waiting = true;
        let turn = memory.cell(GO).fetch_add(1, SeqCst) + 1;
        wait_until(|| memory.cell(BEGUN).load(SeqCst) == turn);
        Sleep::wait(memory, self.process.pid);
    }

    /// What it has got.
    pub(crate) fn result(&mut self, memory: &Memory) -> Next {
        self.is_waiting = false;
        let began = Instant::now();
        let is_done = || memory.cell(DONE).load(SeqCst) == memory.cell(GO).load(SeqCst);
        wait_until(|| is_done() || began.elapsed() > Duration::from_secs(2));
        assert!(is_done(), "a waiter sleeps for ever: {:?}", memory.mutex());
        self.longest = self.longest.max(began.elapsed());
        match memory.cell(RESULT).load(SeqCst) {
            CLEAN => Next::Acquires(Ownership::Clean),
            OWNER_DIED => Next::Acquires(Ownership::OwnerDied),
            BROKEN => panic!("a waiter finds the data broken, and was not told"),
            errno if errno == libc::ENOTRECOVERABLE as u32 => Next::Fails(Error::NotRecoverable),
            errno => panic!("a waiter fails with {errno}"),
        }
    }
}
