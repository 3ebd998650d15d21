//! A pipeline over four tags: words come in, are split among two kinds of workers, and their results are
//! summed up. The last worker waits for two tags at once.
//!
//! ```sh
//! cargo run --package pysync-boc --example pipeline
//! ```

use std::thread;

use pysync_boc::{Limits, Queues, ReceiveError};

const TEXT: &str = "the quick brown fox jumps over the lazy dog and runs 12 miles in 34 minutes";

/// Calls `work` with each message of `tag` until that is closed and empty.
fn each(queues: &Queues<String>, tag: &str, mut work: impl FnMut(String)) {
    while let Ok(received) = queues.receive(tag, None) {
        work(received.message);
    }
}

fn main() {
    // Little room, so that a stage that is ahead waits for the next one.
    let queues = &Queues::new(Limits { tags: 4, capacity: 2 });
    let send = |tag: &str, message| queues.send_timed(tag, message, None).expect("the tag is open");

    let (letters, sum) = thread::scope(|scope| {
        // words -> lengths: how long a word is. Two of these share the work.
        let measure = || each(queues, "words", |word| send("lengths", word.len().to_string()));
        let measurers = [scope.spawn(measure), scope.spawn(measure)];
        // numbers -> squares.
        let squarer = scope.spawn(|| {
            each(queues, "numbers", |number| {
                let number: u64 = number.parse().expect("digits");
                send("squares", (number * number).to_string());
            });
        });
        // lengths, squares: summed up, whichever comes first.
        let adder = scope.spawn(|| {
            let mut sums = [0_u64; 2];
            loop {
                match queues.receive(["lengths", "squares"], None) {
                    Ok(received) => {
                        let value: u64 = received.message.parse().expect("a number");
                        sums[received.index] += value;
                    }
                    // Both are, and nothing is left in them.
                    Err(ReceiveError::Closed) => break (sums[0], sums[1]),
                    Err(error) => panic!("{error}"),
                }
            }
        });

        for word in TEXT.split_whitespace() {
            let is_number = word.starts_with(|c: char| c.is_ascii_digit());
            send(if is_number { "numbers" } else { "words" }, word.to_owned());
        }
        // Each stage ends once the one before it has.
        queues.close("words");
        queues.close("numbers");
        measurers.into_iter().for_each(|measurer| measurer.join().unwrap());
        queues.close("lengths");
        squarer.join().unwrap();
        queues.close("squares");
        adder.join().unwrap()
    });

    println!("{letters} letters in words, squares that add up to {sum}");
    assert_eq!((letters, sum), (56, 1300));
}
