//! The queues beside one list of all waiters.

use super::*;
use proptest::prelude::*;

/// The nodes of the tree below `entry`; panics if one of them is where no search finds it.
fn count(queues: &WaitQueues, entry: *const WaitEntry) -> usize {
    if entry.is_null() {
        return 0;
    }
    // SAFETY: queued, and there is no other thread.
    let (key, children) = unsafe { ((*entry).key(), get(entry, |node| node.children)) };
    assert_eq!(queues.get(queues.find(key)), entry);
    1 + children.into_iter().map(|child| count(queues, child)).sum::<usize>()
}

/// The entries of a chain, as indices into `entries`; panics if its links do not agree.
fn indices(first: *const WaitEntry, entries: &[WaitEntry]) -> Vec<usize> {
    let mut indices = Vec::new();
    let (mut prev, mut entry) = (ptr::null(), first);
    while !entry.is_null() {
        indices.extend(entries.iter().position(|known| ptr::eq(known, entry)));
        // SAFETY: not woken, and there is no other thread.
        assert_eq!(unsafe { get(entry, |node| node.prev) }, prev);
        prev = entry;
        // SAFETY: as above.
        entry = unsafe { WaitEntry::next_in_chain(entry) };
    }
    indices
}

fn is_unparking(entry: &WaitEntry) -> bool {
    // SAFETY: there is no other thread.
    unsafe { entry.is_unparking() }
}

/// One list of all waiters, as C has it: entries and their keys, the longest waiter first.
type List = Vec<(usize, Key)>;

fn of(list: &List, key: Key) -> Vec<usize> {
    list.iter().filter(|waiter| waiter.1 == key).map(|waiter| waiter.0).collect()
}

proptest! {
    /// Beside one list of all waiters, as C has it. Each entry is queued in its turn; the numbers
    /// then say which step to take, and with which entry or key.
    #[test]
    fn the_queues_are_those_of_one_list(
        addrs in prop::collection::vec(0_usize..24, 1..120),
        steps in prop::collection::vec(
            (0..12, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..240),
        stride in prop::sample::select(vec![1, 257, 4096, 1 << (usize::BITS - 5)]),
    ) {
        let keys: Vec<_> = addrs.into_iter().map(|addr| Key::at(addr.wrapping_mul(stride))).collect();
        let entries: Vec<_> =
            keys.iter().map(|&key| WaitEntry::new(key, ptr::null_mut())).collect();
        let mut queues = WaitQueues::new();
        let mut list = List::new();
        let mut not_yet_queued = 0..entries.len();

        for (step, index, other) in steps {
            let (key, other) = (*index.get(&keys), *other.get(&keys));
            match step {
                0..5 => if let Some(entry) = not_yet_queued.next() {
                    // SAFETY: the entries outlive the queues, and this one is on none.
                    unsafe { queues.push_back(&raw const entries[entry]) };
                    list.push((entry, keys[entry]));
                },
                5 => if let Some(entry) = not_yet_queued.next() {
                    // SAFETY: as above.
                    unsafe { queues.push_front(&raw const entries[entry]) };
                    list.insert(0, (entry, keys[entry]));
                },
                6 | 7 => {
                    let expected = of(&list, key);
                    prop_assert_eq!(&indices(queues.first(key), &entries), &expected);
                    let (first, has_more) = queues.remove_first(key);
                    let first = entries.iter().position(|entry| ptr::eq(entry, first));
                    prop_assert_eq!(first, expected.first().copied());
                    prop_assert_eq!(has_more, expected.len() > 1);
                    list.retain(|&(entry, _)| Some(entry) != first);
                }
                8 => if !list.is_empty() {
                    let (entry, _) = list.remove(index.index(list.len()));
                    // SAFETY: queued.
                    unsafe { queues.remove(&raw const entries[entry]) };
                    prop_assert!(!is_unparking(&entries[entry]));
                },
                9 => {
                    let Chain { first, last } = queues.remove_all(key);
                    let all = indices(first, &entries);
                    prop_assert_eq!(&all, &of(&list, key));
                    prop_assert_eq!(all.last().map(|&last| &raw const entries[last]),
                        (!last.is_null()).then_some(last));
                    prop_assert!(all.iter().all(|&entry| is_unparking(&entries[entry])));
                    list.retain(|waiter| waiter.1 != key);
                }
                _ => {
                    // Every second one is moved to the other key, from which some may be taken.
                    let mut chain = queues.take_all(key).first;
                    let (mut moved, mut left) = (Chain::EMPTY, Chain::EMPTY);
                    let (mut expected_moved, mut expected_left) = (List::new(), List::new());
                    let mut turn = 0;
                    while !chain.is_null() {
                        let entry = chain;
                        let index = entries.iter().position(|known| ptr::eq(known, entry)).unwrap();
                        // SAFETY: off the queue, and there is no other thread.
                        unsafe {
                            chain = WaitEntry::next_in_chain(entry);
                            if turn % 2 == 0 {
                                Chain::mark_requeued(entry, other);
                                moved.push(entry);
                                expected_moved.push((index, other));
                            } else {
                                left.push(entry);
                                expected_left.push((index, key));
                            }
                        }
                        turn += 1;
                    }
                    // SAFETY: on no queue, and each chain has its key.
                    unsafe {
                        queues.append(left, key);
                        queues.append(moved, other);
                    }
                    list.retain(|waiter| waiter.1 != key);
                    list.extend(expected_left);
                    list.extend(expected_moved);
                }
            }
            let mut left: Vec<_> = list.iter().map(|waiter| waiter.1.addr()).collect();
            left.sort_unstable();
            left.dedup();
            prop_assert_eq!(count(&queues, queues.root), left.len());
        }
        for &key in &keys {
            prop_assert_eq!(indices(queues.first(key), &entries), of(&list, key));
        }
    }
}

#[test]
fn a_waiter_takes_less_than_two_hundred_bytes() {
    const { assert!(WAITER_BYTES < 200) };
}

#[test]
fn neighbours_of_one_bucket_make_a_tree_of_twice_the_least_depth_at_most() {
    fn depth(entry: *const WaitEntry) -> usize {
        if entry.is_null() {
            return 0;
        }
        // SAFETY: queued, and there is no other thread.
        let children = unsafe { get(entry, |node| node.children) };
        1 + children.map(depth).into_iter().max().unwrap_or(0)
    }
    for stride in [257, 257 * 8, 257 * 64, 257 * 4096] {
        let entries: Vec<_> =
            (0..1023).map(|i| WaitEntry::new(Key::at(i * stride), ptr::null_mut())).collect();
        let mut queues = WaitQueues::new();
        for entry in &entries {
            // SAFETY: the entries outlive the queues.
            unsafe { queues.push_back(entry) };
        }
        assert!(depth(queues.root) <= 20, "{stride}: {}", depth(queues.root));
    }
}
