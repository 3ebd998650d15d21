//! The processor time of a waiter that is not woken.

use std::mem::MaybeUninit;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::contender::{Arena, Contender, FileLock, PosixSync, PthreadRobust, Raw, entrants};
use crate::runner::{Job, Pass, Plan, Sample};

/// The wait of which the share is told.
const HOUR: Duration = Duration::from_secs(3600);
/// After so long a waiter of ours sleeps as long as it ever does.
const SETTLED: Duration = Duration::from_millis(1500);
/// How long it is watched then.
const QUICK: Duration = Duration::from_millis(1500);
const FULL: Duration = Duration::from_secs(10);

pub(super) fn plan(full: bool) -> Plan {
    let watched = if full { FULL } else { QUICK };
    let entrants = entrants!(measure(watched): PthreadRobust, PosixSync, FileLock, Raw);
    Plan {
        name: "robust waiter",
        title: "Mutex between processes: processor time of a waiter that waits for an hour",
        unit: "% of a core",
        higher_is_better: false,
        x: "what",
        timed_rounds: 0,
        jobs: vec![Job::new([("what", "an hour".to_owned())], entrants)],
    }
}

// libc does not have it.
unsafe extern "C" {
    fn pthread_getcpuclockid(thread: libc::pthread_t, clock: *mut libc::clockid_t) -> libc::c_int;
}

/// The clock of the calling thread's processor time, for other threads to read.
fn own_clock() -> libc::clockid_t {
    let mut clock = 0;
    // SAFETY: writes to a local.
    let errno = unsafe { pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
    assert_eq!(errno, 0, "{}", std::io::Error::from_raw_os_error(errno));
    clock
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: writes to a local, which zeroes are valid for in any case.
    let (failed, time) =
        unsafe { (libc::clock_gettime(clock, time.as_mut_ptr()) != 0, time.assume_init()) };
    assert!(!failed, "{}", std::io::Error::last_os_error());
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn measure<C: Contender>(watched: Duration, pass: Pass) -> Sample {
    // Tests of this program have windows of less than a millisecond.
    let [settled, watched] = if pass.window < Duration::from_millis(1) {
        [pass.window, pass.window]
    } else {
        [SETTLED, watched]
    };
    let mutex = C::new(Arena::new());
    let other = mutex.open();
    thread::scope(|scope| {
        let spent = mutex.with(|| {
            let (clock, clocks) = mpsc::channel();
            scope.spawn(|| {
                clock.send(own_clock()).expect("the measuring thread listens");
                let before = read(own_clock());
                drop(clock);
                other.with(|| ());
                before
            });
            let clock = clocks.recv().expect("the waiter does not panic");
            let started = read(clock);
            thread::sleep(settled);
            let (first, now) = (read(clock), Instant::now());
            thread::sleep(watched);
            let rate = (read(clock) - first).div_duration_f64(now.elapsed());
            (first - started).as_secs_f64() + rate * (HOUR - settled).as_secs_f64()
        });
        Sample::new(spent / HOUR.as_secs_f64() * 100.0)
    })
}
