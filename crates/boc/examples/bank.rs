//! Transfers between the accounts of a bank. Each names its two accounts and runs once it has both: no lock
//! order to keep, no deadlock, and no thread that waits.
//!
//! ```sh
//! cargo run --release --package pysync-boc --example bank
//! ```

use pysync_boc::{Cown, Runtime, read, when};

const ACCOUNTS: usize = 100;
const TRANSFERS: usize = 100_000;

#[derive(Default)]
struct Account {
    balance: i64,
    refused: usize,
}

fn main() {
    let accounts: Vec<_> =
        (0..ACCOUNTS).map(|_| Cown::new(Account { balance: 1_000, refused: 0 })).collect();

    for number in 0..TRANSFERS {
        let from = number * 7 % ACCOUNTS;
        let to = (from + 1 + number % (ACCOUNTS - 1)) % ACCOUNTS;
        let amount = (number % 50) as i64;
        when((&accounts[from], &accounts[to]), move |(from, to)| {
            if from.balance < amount {
                from.refused += 1;
                return;
            }
            from.balance -= amount;
            to.balance += amount;
        });
    }

    // Behind all transfers that were asked for so far, and before all that come later. It only reads.
    let richest = when(read(&accounts[0]), |account| account.balance);
    println!("the first account has {} by now", richest.wait(None).unwrap().unwrap());

    // One behaviour over all accounts sees them as of one moment.
    let audit = when(&accounts, |accounts| {
        let total: i64 = accounts.iter().map(|account| account.balance).sum();
        let refused: usize = accounts.iter().map(|account| account.refused).sum();
        (total, refused)
    });
    let (total, refused) = audit.wait(None).unwrap().unwrap();
    println!("{TRANSFERS} transfers, {refused} refused; the bank has {total}");
    assert_eq!(total, 1_000 * ACCOUNTS as i64);

    Runtime::global().quiesce(None).unwrap();
}
