//! What a wait costs and how long a death takes to be seen. Run by name, since they take seconds:
//! `cargo test --release -p pysync-robust --test process -- --ignored --nocapture --test-threads=1`.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use pysync_robust::{Kind, Ownership, Timeout};
use pysync_testing::{wait_until, watchdog};

use crate::common::{Memory, child};

/// The time that the calling thread has been on a processor.
fn used() -> Duration {
    // SAFETY: zeroes are a usage; writes to a local.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &mut usage), 0);
        usage
    };
    let of = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    of(usage.ru_utime) + of(usage.ru_stime)
}

/// A waiter wakes now and then to look. After a second of waiting it does so four times a second.
#[test]
#[ignore = "takes seconds"]
fn cost_of_a_wait() {
    const SECONDS: u64 = 4;
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    let has_it = memory.cell(0);
    let mut owner = child(|| {
        assert_eq!(memory.mutex().acquire(Timeout::Never), Ok(Ownership::Clean));
        has_it.store(1, SeqCst);
        wait_until(|| {
            thread::park_timeout(Duration::from_secs(60));
            false
        });
    });
    wait_until(|| has_it.load(SeqCst) == 1);
    let wait = |seconds: u64| {
        let before = used();
        let timeout = Timeout::After(Duration::from_secs(seconds));
        assert!(memory.mutex().acquire(timeout).is_err());
        used() - before
    };
    // What the first second costs more than any other does not count for an hour.
    let (short, long) = (wait(1), wait(1 + SECONDS));
    let second = long.saturating_sub(short) / SECONDS as u32;
    let hour = short + second * 3599;
    println!(
        "the first second of a wait takes {short:?} of a processor, each one after it {second:?}: \
         {:.4} % of an hour",
        hour.as_secs_f64() / 36.0
    );
    owner.kill();
    assert!(hour < Duration::from_millis(3600), "over 0.1 %");
}

/// From the death of an owner to the return of the call that waits for it.
#[test]
#[ignore = "takes seconds"]
fn death_to_waiter() {
    const DEATHS: usize = 200;
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    let mutex = memory.mutex();
    let origin = Instant::now();
    let now = || origin.elapsed().as_micros() as u32;
    let (has_it, woken_at, go_on) = (memory.cell(0), memory.cell(1), memory.cell(2));
    let own = || {
        assert_eq!(mutex.acquire(Timeout::Never), Ok(Ownership::Clean));
        has_it.store(1, SeqCst);
    };
    let waiter = || {
        wait_until(|| has_it.load(SeqCst) == 1);
        let waiter = child(|| {
            assert_eq!(mutex.acquire(Timeout::Never), Ok(Ownership::OwnerDied));
            woken_at.store(now(), SeqCst);
            mutex.make_consistent().unwrap();
            mutex.release().unwrap();
        });
        waiter.wait_until_asleep(&memory);
        waiter
    };
    let print = |what: &str, mut times: Vec<u32>| {
        times.sort_unstable();
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{what}: median {median} µs, at most {most} µs, of {} deaths", times.len());
        assert!(most < 1_000_000);
    };
    let processes = (0..DEATHS).map(|_| {
        has_it.store(0, SeqCst);
        let mut owner = child(|| {
            own();
            wait_until(|| {
                thread::park();
                false
            });
        });
        let waiter = waiter();
        let killed_at = now();
        owner.kill();
        waiter.succeeds();
        woken_at.load(SeqCst).saturating_sub(killed_at)
    });
    print("a process is killed", processes.collect());
    let threads = (0..DEATHS).map(|_| {
        has_it.store(0, SeqCst);
        go_on.store(0, SeqCst);
        thread::scope(|s| {
            let owner = s.spawn(|| {
                own();
                wait_until(|| go_on.load(SeqCst) == 1);
                now()
            });
            let waiter = waiter();
            go_on.store(1, SeqCst);
            let returned_at = owner.join().unwrap();
            waiter.succeeds();
            woken_at.load(SeqCst).saturating_sub(returned_at)
        })
    });
    print("a thread returns", threads.collect());
}
