"""A bank: accounts are cowns, and a transfer is a behavior of two of them.

    python bank.py [--accounts 8] [--transfers 10000] [--workers 4]

No account is locked, and no order of accounts is agreed on. A transfer runs once both accounts are
its own. The auditor asks for all accounts every now and then, in between, and must find the same
sum each time.
"""

import argparse
import random
import sys

from pysync.boc import Cown, start, wait, when, whencall

BALANCE = 100


class Account:
    """What a customer has, and how often money could not be moved."""

    def __init__(self):
        self.balance = BALANCE
        self.refused = 0


def transfer(source, target, amount):
    """Move an amount, if it is there. The body of a behavior over two accounts."""
    if source.value.balance < amount:
        source.value.refused += 1
        return
    source.value.balance -= amount
    target.value.balance += amount


def audit(accounts):
    """Ask for the sum over all accounts. Returns the cown of the result."""

    @when(accounts)
    def total(accounts):
        return sum(account.value.balance for account in accounts)

    return total


def main():
    """Run transfers and audits. Returns the exit code."""
    parser = argparse.ArgumentParser(description="A bank with behaviors.")
    parser.add_argument("--accounts", type=int, default=8)
    parser.add_argument("--transfers", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=4)
    args = parser.parse_args()
    if args.accounts < 2:
        parser.error("a transfer needs two accounts")

    start(worker_count=args.workers)
    chance = random.Random(1)
    accounts = [Cown(Account()) for _ in range(args.accounts)]
    totals = []
    for i in range(args.transfers):
        pair = chance.sample(accounts, 2)
        whencall(transfer, pair, [chance.randint(1, BALANCE)])
        if i % 1000 == 0:
            totals.append(audit(accounts))
    totals.append(audit(accounts))
    sums = [total.unwrap(timeout=None) for total in totals]
    wait()

    # The workers have ended, and this thread may look.
    refused = sum(account.value.refused for account in accounts)
    print(f"{args.transfers} transfers, {refused} refused, {len(sums)} audits: {set(sums)}")
    return 0 if set(sums) == {args.accounts * BALANCE} else 1


if __name__ == "__main__":
    sys.exit(main())
