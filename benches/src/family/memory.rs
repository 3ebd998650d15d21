//! How many bytes a lock takes, and a waiter.

use crate::runner::{Entrant, Job, Plan, Sample};

macro_rules! sizes {
    ($($name:literal: $lock:ty),* $(,)?) => {
        vec![$(Entrant::new($name, |_| Sample::new(size_of::<$lock>() as f64))),*]
    };
}

pub(crate) fn plan() -> Plan {
    let job = |what: &str, entrants| Job::new([("what", what.to_owned())], entrants);
    let jobs = vec![
        job(
            "mutex",
            sizes! {
                "std": std::sync::Mutex<()>,
                "pl-0.12": parking_lot_0_12::Mutex<()>,
                "pl-0.13": parking_lot_0_13::Mutex<()>,
                "usync": usync::Mutex<()>,
                "pthread": libc::pthread_mutex_t,
                "pysync": pysync_lock::Mutex,
            },
        ),
        job(
            "rwlock",
            sizes! {
                "std": std::sync::RwLock<()>,
                "pl-0.12": parking_lot_0_12::RwLock<()>,
                "pl-0.13": parking_lot_0_13::RwLock<()>,
                "usync": usync::RwLock<()>,
                "pthread": libc::pthread_rwlock_t,
                "pysync": pysync_lock::RwMutex,
            },
        ),
        job(
            "once",
            sizes! {
                "std": std::sync::Once,
                "pl-0.12": parking_lot_0_12::Once,
                "pl-0.13": parking_lot_0_13::Once,
                "usync": usync::Once,
                "pthread": libc::pthread_once_t,
                "pysync": pysync_lock::OnceFlag,
            },
        ),
        job(
            "reentrant",
            sizes! {
                "pl-0.12": parking_lot_0_12::ReentrantMutex<()>,
                "pl-0.13": parking_lot_0_13::ReentrantMutex<()>,
                "pysync": pysync_lock::RecursiveMutex,
            },
        ),
        job("event", sizes! { "pysync": pysync_lock::Event }),
        job(
            "condvar",
            sizes! {
                "std": std::sync::Condvar,
                "pl-0.12": parking_lot_0_12::Condvar,
                "pl-0.13": parking_lot_0_13::Condvar,
                "usync": usync::Condvar,
                "pthread": libc::pthread_cond_t,
                "event-l": event_listener::Event,
                "pysync": pysync_cond::Cond,
            },
        ),
        job(
            "semaphore",
            sizes! {
                "tokio": tokio::sync::Semaphore,
                "async-lock": async_lock::Semaphore,
                "pysync": pysync_cond::Semaphore,
            },
        ),
        job("seqlock", sizes! { "pysync": pysync_lock::SeqLock }),
        // On its own stack; peers keep theirs in private types.
        job(
            "a waiter",
            vec![Entrant::new("pysync", |_| Sample::new(pysync_parking_lot::WAITER_BYTES as f64))],
        ),
        job(
            "a condvar's waiter",
            vec![Entrant::new("pysync", |_| Sample::new(pysync_cond::WAITER_BYTES as f64))],
        ),
    ];
    Plan {
        name: "memory",
        title: "Bytes of a lock without data, and of a thread that waits",
        unit: "bytes",
        higher_is_better: false,
        x: "what",
        timed_rounds: 0,
        jobs,
    }
}
