//! Data with a journal, which any survivor can repair.
//!
//! `cargo run -p pysync-robust --example repair`
//!
//! A transfer changes two accounts, and its owner may die at any point. So the owner notes first what it
//! is about to do. A flag says that the note is whole, and is cleared when the transfer is. A survivor
//! that finds the flag set does what is noted once more: the note has balances and not differences, so
//! that once more does no harm. If it finds the flag clear, nothing was begun.

use std::sync::atomic::{Ordering, compiler_fence};
use std::{mem, thread};

use pysync_robust::{Error, Segment, Shared, Timeout};

/// Words of the data: three balances, then the note.
type Bank = [i64; 8];
const NOTED: usize = 3;
const NOTE: usize = 4;

/// The steps of a transfer, after each of which the owner may die.
fn transfer(bank: &mut Bank, from: usize, to: usize, amount: i64, mut step: impl FnMut()) {
    let note = [from as i64, bank[from] - amount, to as i64, bank[to] + amount];
    bank[NOTE..].copy_from_slice(&note);
    step();
    // The death of a thread stops it between two instructions, in the order in which the compiler has
    // put them. Who acquires the mutex after it sees all that were done.
    compiler_fence(Ordering::SeqCst);
    bank[NOTED] = 1;
    compiler_fence(Ordering::SeqCst);
    step();
    finish(bank, step);
}

/// Does what is noted.
fn finish(bank: &mut Bank, mut step: impl FnMut()) {
    bank[bank[NOTE] as usize] = bank[NOTE + 1];
    step();
    bank[bank[NOTE + 2] as usize] = bank[NOTE + 3];
    step();
    compiler_fence(Ordering::SeqCst);
    bank[NOTED] = 0;
    step();
}

/// What a survivor does.
fn repair(bank: &mut Bank) {
    if bank[NOTED] != 0 {
        finish(bank, || ());
    }
}

fn main() -> Result<(), Error> {
    let segment = Segment::new(4096)?;
    let part = || segment.part(0, 4096);
    let bank = Shared::initialize(part()?, 1, [100, 0, 0, 0, 0, 0, 0, 0])?;

    for last_step in 0..=5 {
        thread::scope(|s| {
            s.spawn(|| {
                let mut held = bank.acquire(Timeout::Never).unwrap().repaired(repair);
                let mut steps = 0;
                // The end of a thread is to the mutex what a kill of its process is. A panic leads out of
                // the transfer, so that the death can be at a chosen step.
                let cut = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    transfer(&mut held, 0, 1, 10, || {
                        if steps == last_step {
                            std::panic::resume_unwind(Box::new(()));
                        }
                        steps += 1;
                    });
                }));
                if cut.is_err() {
                    mem::forget(held);
                }
            });
        });
        let bank = bank.acquire(Timeout::Never)?.repaired(repair);
        println!("dead after step {last_step}: {:?}", &bank[..NOTED]);
        assert_eq!(bank[..NOTED].iter().sum::<i64>(), 100);
    }
    Ok(())
}
