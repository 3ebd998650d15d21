//! Transfers in random order between accounts, each of which is a monitor of its own. Threads deadlock all
//! the time, and all of them get through: the youngest loses, and tries again. Meanwhile one thread looks at
//! who waits for whom, and the longest chain that it has seen becomes a picture.
//!
//! ```sh
//! cargo run --release --package pysync-monitor --example transfers
//! cargo run --release --package pysync-monitor --example transfers -- --svg waits.svg
//! cargo run --release --package pysync-monitor --example transfers -- --dot | dot -Tsvg > waits.svg
//! ```

mod args;
mod dot;
mod graph;
mod svg;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use pysync_monitor::{Deadlock, Monitor, attempt, enter_all, set_deadlock_hook, snapshot};
use pysync_platform::{Native, Runtime};

use args::Args;
use graph::{Picture, Ring, Wait};

const THREADS: usize = 16;
const NAMES: [&str; 10] =
    ["Ann", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gwen", "Hugo", "Ida", "Jack"];
/// What is on each account at first.
const MONEY: i64 = 100;
/// From so many waits in a row on, a chain is worth a picture.
const CHAIN: usize = 3;
/// For how long the threads go on at most until there has been such a chain.
const PATIENCE: Duration = Duration::from_secs(10);

/// The entry into the second account may fail: so nothing is written before it.
fn write_last(from: &Monitor<i64>, to: &Monitor<i64>, amount: i64) -> Result<bool, Deadlock> {
    attempt(|| {
        from.with(|mut from| {
            look_up();
            to.with(|mut to| {
                if *from < amount {
                    return Ok(false);
                }
                *from -= amount;
                *to += amount;
                Ok(true)
            })
        })
    })
}

/// The first account is written to before the second is entered: so what is written is undone if that fails.
/// This takes `with`, which sees that the body has failed; `enter` takes each result for a good one.
fn undone(from: &Monitor<i64>, to: &Monitor<i64>, amount: i64) -> Result<bool, Deadlock> {
    attempt(|| {
        from.with(|mut from| {
            if *from < amount {
                return Ok(false);
            }
            *from -= amount;
            from.undo(move |from| *from += amount);
            look_up();
            to.enter(|mut to| *to += amount)?;
            Ok(true)
        })
    })
}

/// Takes its time, with an account entered, so that the threads get in each other's way.
fn look_up() {
    thread::yield_now();
}

static DEADLOCKS: AtomicUsize = AtomicUsize::new(0);
static LARGEST: Mutex<Option<Ring>> = Mutex::new(None);
/// The numbers of the threads here, by the numbers that links have.
static NUMBERS: Mutex<Option<HashMap<u64, usize>>> = Mutex::new(None);

/// Called with each deadlock, on the thread that has lost.
fn on_deadlock(deadlock: &Deadlock) {
    DEADLOCKS.fetch_add(1, Relaxed);
    assert_eq!(
        deadlock.dirty().count(),
        0,
        "what is written is undone, or has not been written yet"
    );
    let mut largest = LARGEST.lock().unwrap();
    if largest.as_ref().is_none_or(|ring| ring.waits.len() < deadlock.cycle().len()) {
        let waits = deadlock.cycle().iter().filter_map(|link| Wait::new(link, number)).collect();
        *largest = Some(Ring { waits, victim: deadlock.victim() });
    }
}

fn number(thread: u64) -> usize {
    NUMBERS.lock().unwrap().as_ref().and_then(|it| it.get(&thread).copied()).unwrap_or(0)
}

/// Who waits for whom. A snapshot looks at one thread after the other. A wait that is in two of them was
/// there from the first to the second: so all that this returns were there at one moment.
fn look() -> Vec<Wait> {
    let (before, mut links) = (snapshot(), snapshot());
    links.retain(|link| {
        let it = (link.thread, link.since, link.waits_for);
        before.iter().any(|link| (link.thread, link.since, link.waits_for) == it)
    });
    links.iter().filter_map(|link| Wait::new(link, number)).collect()
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }
}

/// Runs the transfers, and returns how many there were, how many of them were refused, and the longest chain.
fn run(accounts: &[Monitor<i64>], each: usize) -> (usize, usize, Vec<Wait>) {
    let (done, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let has_chain = AtomicBool::new(false);
    let begin = Instant::now();
    let mut best = Vec::new();
    thread::scope(|scope| {
        let transfer = |id: usize| {
            let (done, refused, has_chain) = (&done, &refused, &has_chain);
            move || {
                let me = Native::thread_ident();
                NUMBERS.lock().unwrap().get_or_insert_default().insert(me, id);
                let mut random = Random((id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let mut count = 0;
                while count < each || (!has_chain.load(Relaxed) && begin.elapsed() < PATIENCE) {
                    let from = random.below(accounts.len());
                    let to = (from + 1 + random.below(accounts.len() - 1)) % accounts.len();
                    let transfer = if random.below(2) == 0 { write_last } else { undone };
                    let amount = random.below(50) as i64;
                    if !transfer(&accounts[from], &accounts[to], amount).unwrap() {
                        refused.fetch_add(1, Relaxed);
                    }
                    count += 1;
                }
                done.fetch_add(count, Relaxed);
            }
        };
        let threads: Vec<_> = (1..=THREADS).map(|id| scope.spawn(transfer(id))).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            let waits = look();
            if graph::longest_chain(&waits) > graph::longest_chain(&best) {
                best = waits;
            }
            has_chain.store(graph::longest_chain(&best) >= CHAIN, Relaxed);
            thread::sleep(Duration::from_micros(200));
        }
    });
    (done.into_inner(), refused.into_inner(), best)
}

fn main() {
    let args = Args::parse_or_exit();
    set_deadlock_hook(Some(on_deadlock));
    let accounts: Vec<_> = NAMES.iter().map(|name| Monitor::named(name, MONEY)).collect();

    let (done, refused, waits) = run(&accounts, args.each);

    let all: Vec<_> = accounts.iter().collect();
    let sum: i64 = enter_all(&all[..], |all| all.iter().map(|account| **account).sum()).unwrap();
    assert_eq!(sum, MONEY * NAMES.len() as i64, "money has come or gone");

    let told = format!(
        "{THREADS} threads, {} accounts, {done} transfers, {refused} refused; {} deadlocks broken; \
         the bank has {sum}, as before",
        NAMES.len(),
        DEADLOCKS.load(Relaxed),
    );
    let picture = Picture { waits, ring: LARGEST.lock().unwrap().take(), told };
    // What is printed with `--dot` is for a program.
    if args.dot {
        print!("{}", dot::draw(&picture));
    } else {
        print!("{picture}");
    }
    if let Some(path) = args.svg {
        if let Err(error) = std::fs::write(&path, svg::draw(&picture)) {
            args::exit(&format!("{}: {error}", path.display()));
        }
    }
}
