//! Four ways to leave values right when a thread loses: a transfer between two accounts in each of them, and
//! what an error that is handled otherwise leaves behind.
//!
//! ```sh
//! cargo run --release --package pysync-monitor --example rollback
//! ```

use std::sync::{Barrier, Mutex};
use std::thread;

use pysync_monitor::{Deadlock, Monitor, attempt, enter_all};

type Account = Monitor<i64>;
type Transfer<'a> = &'a (dyn Fn(&Account, &Account) + Sync);

/// 1. What is needed is known beforehand. All are entered in one order, so that there is no cycle of such
///    entries alone.
fn all_at_once(from: &Account, to: &Account, amount: i64) -> Result<(), Deadlock> {
    attempt(|| {
        enter_all((from, to), |(mut from, mut to)| {
            *from -= amount;
            *to += amount;
        })
    })
}

/// 2. All is looked at first, and written once nothing can fail any more.
fn written_last(from: &Account, to: &Account, amount: i64) -> Result<(), Deadlock> {
    attempt(|| {
        from.with(|mut from| {
            to.enter(|mut to| {
                *from -= amount;
                *to += amount;
            })
        })
    })
}

/// 3. What is written is undone if the body fails. This takes `with`: `enter` takes each result for a good
///    one.
fn undone(from: &Account, to: &Account, amount: i64) -> Result<(), Deadlock> {
    attempt(|| {
        from.with(|mut from| {
            *from -= amount;
            from.undo(move |from| *from += amount);
            to.enter(|mut to| *to += amount)
        })
    })
}

/// 4. What was written stays, and the error tells where. The thread owes the amount until it has put that
///    right: another that looks at both accounts meanwhile finds it missing.
fn put_right(from: &Account, to: &Account, amount: i64) -> Result<(), Deadlock> {
    let result = from.with(|mut from| {
        *from -= amount;
        to.enter(|mut to| *to += amount)
    });
    let Err(deadlock) = result else { return Ok(()) };
    let dirty: Vec<_> = deadlock.dirty().collect();
    assert_eq!(dirty.len(), 1, "the first account was written to, and nothing else");
    // Inside of nothing, it makes no cycle.
    to.enter(|mut to| *to += amount)
}

fn main() {
    let (ann, ben) = (Monitor::named("Ann", 1_000), Monitor::named("Ben", 1_000));
    let transfers: [(&str, Transfer<'_>); 4] = [
        ("all at once", &|from, to| all_at_once(from, to, 7).unwrap()),
        ("written last", &|from, to| written_last(from, to, 7).unwrap()),
        ("undone", &|from, to| undone(from, to, 7).unwrap()),
        ("put right", &|from, to| put_right(from, to, 7).unwrap()),
    ];
    for (name, transfer) in transfers {
        thread::scope(|scope| {
            for (from, to) in [(&ann, &ben), (&ben, &ann)] {
                scope.spawn(move || (0..20_000).for_each(|_| transfer(from, to)));
            }
        });
        let sum: i64 = enter_all([&ann, &ben], |all| all.iter().map(|it| **it).sum()).unwrap();
        println!("{name}: {sum}");
        assert_eq!(sum, 2_000);
    }
    one_deadlock(&ann, &ben);
}

/// Two threads deadlock for sure, without `attempt`: one of them loses, and what it has written is undone.
fn one_deadlock(ann: &Account, ben: &Account) {
    let (both_inside, lost) = (Barrier::new(2), Mutex::new(Vec::new()));
    let transfer = |from: &Account, to: &Account, amount| {
        from.with(|mut from| {
            *from -= amount;
            from.undo(move |from| *from += amount);
            both_inside.wait();
            to.enter(|mut to| *to += amount)
        })
    };
    let before = ann.enter(|ann| *ann).unwrap();
    thread::scope(|scope| {
        for (from, to, amount) in [(ann, ben, 10), (ben, ann, 20)] {
            let (transfer, lost) = (&transfer, &lost);
            scope.spawn(move || {
                if let Err(deadlock) = transfer(from, to, amount) {
                    lost.lock().unwrap().push((amount, deadlock));
                }
            });
        }
    });
    let lost = lost.into_inner().unwrap();
    let [(amount, deadlock)] = &lost[..] else { panic!("one has to lose: {lost:?}") };
    println!("{deadlock}");
    let came = if *amount == 10 { 20 } else { -10 };
    assert_eq!(ann.enter(|ann| *ann).unwrap(), before + came);
}
