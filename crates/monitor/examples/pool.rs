//! A pool of workers under a branch: they take jobs out of one monitor, and wait there for conditions that
//! have names. The first job that fails cancels the others, and all that has failed is told at the end.
//!
//! ```sh
//! cargo run --release --package pysync-monitor --example pool
//! ```

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pysync_monitor::{Cancelled, Condition, Failure, Failures, Monitor, Stopped, branch, check};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// To add the numbers from 1 on up to one that is given as a text.
struct Job(&'static str);

const WORKERS: usize = 4;
/// So many jobs lie in the monitor at most.
const ROOM: usize = 2;

static A_JOB: Condition<Vec<Job>> = Condition::new("a job", |jobs| !jobs.is_empty());
static ROOM_FOR_A_JOB: Condition<Vec<Job>> =
    Condition::new("room for a job", |jobs| jobs.len() < ROOM);

/// Waits for a job. It is there on return: the thread that has put it there has handed the monitor over.
fn take(jobs: &Monitor<Vec<Job>>) -> Result<Job, Error> {
    jobs.with(|jobs| Ok(jobs.wait_for(&A_JOB)?.remove(0)))
}

fn put(jobs: &Monitor<Vec<Job>>, job: Job) -> Result<(), Error> {
    jobs.with(|jobs| {
        jobs.wait_for(&ROOM_FOR_A_JOB)?.push(job);
        Ok(())
    })
}

/// Looks now and then whether its result is still of use.
fn execute(Job(text): &Job) -> Result<u64, Error> {
    let end: u64 = text.parse().map_err(|error| format!("job {text:?}: {error}"))?;
    let mut sum = 0;
    for number in 1..=end {
        if number % 65_536 == 0 {
            check()?;
        }
        sum += std::hint::black_box(number);
    }
    Ok(sum)
}

/// Has all jobs done, and adds up their results.
fn run(texts: &[&'static str]) -> Result<u64, Failures<Error>> {
    let (jobs, sum) = (Monitor::named("jobs", Vec::new()), Monitor::named("sum", 0));
    let left = AtomicUsize::new(texts.len());
    branch(|b| {
        for _ in 0..WORKERS {
            b.spawn(|| {
                // A worker announces each job that it is going to take: so none waits for one that never comes.
                let announce = |left: usize| left.checked_sub(1);
                while left.fetch_update(Relaxed, Relaxed, announce).is_ok() {
                    let result = execute(&take(&jobs)?)?;
                    sum.enter(|mut sum| *sum += result)?;
                }
                Ok(())
            });
        }
        for text in texts {
            put(&jobs, Job(text))?;
        }
        Ok(())
    })?;
    Ok(sum.into_inner())
}

/// Whether an error only says that another part of the branch has failed.
fn is_cancel(error: &Error) -> bool {
    error.is::<Cancelled>() || matches!(error.downcast_ref(), Some(Stopped::Cancelled(_)))
}

fn main() {
    let sum = run(&["10", "100", "1000", "10000", "100000"]).expect("all are numbers");
    println!("five good jobs: {sum}");
    assert_eq!(sum, 5_050_560_605);

    println!("one that is no number, between others that take long:");
    let long = "1000000000000";
    let failures = run(&["10", long, long, "ten", long, long, long, long]).unwrap_err();
    let (mut failed, mut given_up) = (0, 0);
    for failure in failures.iter() {
        match failure {
            Failure::Error(error) if is_cancel(error) => {
                given_up += 1;
                println!("  has given up: {error}");
            }
            Failure::Error(error) => {
                failed += 1;
                println!("  has failed: {error}");
            }
            Failure::Panicked(_) => println!("  has panicked"),
            Failure::Cancelled => println!("  had not begun"),
        }
    }
    // Those that had long jobs, and the body, which waited for room.
    assert!(failed == 1 && given_up >= 3, "{failures:?}");
}
