//! Bytes of all kinds. Whatever they are, a call answers, there is one owner at most, and nothing
//! outside of the mutex is written to. (The bytes of the C library's own mutex are trusted.)
#![cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(miri),
    not(any(pysync_loom, pysync_shuttle))
))]

mod common;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use common::*;
use pysync_robust::{ALIGN, Error, Kind, Ownership, RawMutex, SIZE, State, Timeout};
use pysync_testing::{watchdog, watchdog_for};

const SOON: Timeout = Timeout::After(Duration::from_micros(20));

/// The bits of the block that are not the C library's.
fn header_bits() -> impl Iterator<Item = usize> {
    (0..8 * INNER).chain(8 * CLAIM..8 * SIZE)
}

/// Acquires it if that goes; the other thread then must not.
fn acquire_alone(mutex: RawMutex, other: &Actor) {
    if mutex.acquire(Timeout::Try).is_ok() {
        let second = other.run(move || mutex.acquire(Timeout::Try));
        assert!(second.is_err(), "two owners: {second:?}");
        // Some bits of the depth make this a long way to go.
        for _ in 0..3 {
            _ = mutex.release();
        }
    }
}

/// All that can be done to the bytes, by the calling thread and another.
fn do_everything(mutex: RawMutex, other: &Actor) {
    _ = mutex.state();
    _ = mutex.attach();
    acquire_alone(mutex, other);
    _ = mutex.open(Kind::Recursive, Timeout::Try);
    acquire_alone(mutex, other);
    _ = mutex.initialize(Kind::Plain);
    acquire_alone(mutex, other);
    _ = (mutex.release(), mutex.make_consistent(), mutex.give_up());
    _ = mutex.destroy();
    _ = mutex.open(Kind::Plain, SOON);
    acquire_alone(mutex, other);
    _ = mutex.state();
}

/// What a flipped bit is tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Free,
    OwnerDied,
    Lost,
    Retired,
}

impl Before {
    fn make(self, bytes: Bytes, kind: Kind) {
        let mutex = bytes.mutex();
        mutex.initialize(kind).unwrap();
        match self {
            Self::Free => {}
            Self::OwnerDied => in_a_short_life(move || take(mutex)),
            Self::Lost => {
                take(mutex);
                mutex.give_up().unwrap();
            }
            Self::Retired => mutex.destroy().unwrap(),
        }
    }
}

#[test]
fn a_flipped_bit_makes_no_two_owners() {
    let _watchdog = watchdog_for(Duration::from_secs(120));
    let other = Actor::new();
    let mut cases = 0;
    for before in [Before::Free, Before::OwnerDied, Before::Lost, Before::Retired] {
        for kind in [Kind::Plain, Kind::Recursive] {
            for bit in header_bits() {
                let bytes = Bytes::zeroed();
                let mutex = bytes.mutex();
                before.make(bytes, kind);
                bytes.flip(bit);
                let attached = mutex.attach();
                let is_checked = bit < 8 * DEPTH
                    || (8 * NAMESPACE..8 * DATA).contains(&bit)
                    || (8 * CHECK..8 * END).contains(&bit);
                if !is_checked {
                    let expected = match before {
                        Before::Free | Before::OwnerDied => Ok(()),
                        Before::Lost => Err(Error::NotRecoverable),
                        Before::Retired => Err(Error::Destroyed),
                    };
                    assert_eq!(attached, expected, "bit {bit} of {before:?}");
                } else if bit >= 64 {
                    assert_eq!(attached, Err(Error::Damaged), "bit {bit} of {before:?}");
                }
                do_everything(mutex, &other);
                bytes.check_canaries();
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
}

/// The owner has it all the while. No other thread gets in, and nothing of the block is written to.
#[test]
fn a_flipped_bit_does_not_let_a_second_owner_in() {
    let _watchdog = watchdog_for(Duration::from_secs(120));
    let owner = Actor::new();
    let mut cases = 0;
    for kind in [Kind::Plain, Kind::Recursive] {
        for inconsistent in [false, true] {
            for bit in header_bits() {
                let bytes = Bytes::zeroed();
                let mutex = bytes.mutex();
                mutex.initialize(kind).unwrap();
                let how = if inconsistent {
                    in_a_short_life(move || take(mutex));
                    Ownership::OwnerDied
                } else {
                    Ownership::Clean
                };
                assert_eq!(owner.run(move || mutex.acquire(Timeout::Try)), Ok(how));
                let before = bytes.read_own();
                bytes.flip(bit);
                let flipped = bytes.read_own();
                for timeout in [Timeout::Try, SOON] {
                    let acquired = mutex.acquire(timeout);
                    assert!(acquired.is_err(), "bit {bit}: two owners: {acquired:?}");
                }
                _ = (mutex.state(), mutex.attach());
                assert_ne!(mutex.initialize(Kind::Recursive), Ok(()), "bit {bit}");
                assert_ne!(mutex.open(Kind::Plain, Timeout::Try), Ok(true), "bit {bit}");
                assert_ne!(mutex.open(Kind::Plain, SOON), Ok(true), "bit {bit}");
                assert_ne!(mutex.destroy(), Ok(()), "bit {bit}");
                assert_ne!(mutex.release(), Ok(()), "bit {bit}");
                assert_ne!(mutex.give_up(), Ok(()), "bit {bit}");
                assert_ne!(mutex.make_consistent(), Ok(()), "bit {bit}");
                assert_eq!(bytes.read_own(), flipped, "bit {bit}");
                bytes.flip(bit);
                assert_eq!(bytes.read_own(), before);
                assert_eq!(owner.run(move || mutex.release()), Ok(()));
                bytes.check_canaries();
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
}

#[test]
fn every_version_and_phase_has_an_answer() {
    let _watchdog = watchdog_for(Duration::from_secs(120));
    let (bytes, other) = (Bytes::zeroed(), Actor::new());
    let mutex = bytes.mutex();
    mutex.initialize(Kind::Plain).unwrap();
    let whole = bytes.read();
    let ready = bytes.u64(STATE).load(SeqCst);
    assert_eq!(ready >> 40, u64::from_be_bytes(*b"\0\0\0\0\0PyS"));
    for version in 0..=0xff_u64 {
        for phase_and_flags in 0..=0xff {
            let state = ready & !(0xffff << 24) | version << 32 | phase_and_flags << 24;
            bytes.u64(STATE).store(state, SeqCst);
            let is_ours = version == 1 && phase_and_flags & 0xc == 0;
            let expected = match phase_and_flags >> 4 {
                1 if is_ours => Ok(()),
                2 if is_ours => Err(Error::NotRecoverable),
                3 if is_ours => Err(Error::Destroyed),
                _ => Err(Error::Damaged),
            };
            assert_eq!(mutex.attach(), expected, "{state:#x}");
            if is_ours {
                do_everything(mutex, &other);
            } else {
                assert_eq!(mutex.acquire(Timeout::Never), expected.map(|()| Ownership::Clean));
                assert_eq!(mutex.release(), expected);
                assert_eq!(mutex.destroy(), expected);
                assert_eq!(mutex.initialize(Kind::Plain), expected);
                assert_eq!(bytes.u64(STATE).load(SeqCst), state);
            }
            assert_eq!(bytes.u32(WORD).load(SeqCst), 0, "it is to be free");
            bytes.write(whole);
        }
    }
    bytes.check_canaries();
}

#[test]
fn zeroes_and_garbage_are_no_mutex_and_become_one() {
    let _watchdog = watchdog();
    let mut random = Random::new(1);
    let bytes = Bytes::zeroed();
    let mutex = bytes.mutex();
    for case in 0..20_000 {
        let garbage = match case {
            0..256 => [case as u8; SIZE],
            _ => random.bytes(),
        };
        bytes.write(garbage);
        assert_eq!(mutex.state(), Ok(State::Uninitialized), "{garbage:?}");
        assert_eq!(mutex.attach(), Err(Error::Uninitialized));
        assert_eq!(mutex.acquire(Timeout::Never), Err(Error::Uninitialized));
        assert_eq!(mutex.release(), Err(Error::Uninitialized));
        assert_eq!(mutex.make_consistent(), Err(Error::Uninitialized));
        assert_eq!(mutex.give_up(), Err(Error::Uninitialized));
        assert_eq!(mutex.destroy(), Err(Error::Uninitialized));
        assert_eq!(bytes.read(), garbage, "a look has changed something");
        assert_eq!(mutex.initialize(Kind::Plain), Ok(()));
        take(mutex);
        assert_eq!(mutex.acquire(Timeout::Try), Err(Error::Deadlock));
        mutex.release().unwrap();
    }
    bytes.check_canaries();
}

/// Each field of the header gets any value, alone and with others.
#[test]
fn random_fields_have_an_answer() {
    let _watchdog = watchdog_for(Duration::from_secs(120));
    let mut random = Random::new(2);
    let (bytes, other) = (Bytes::zeroed(), Actor::new());
    let mutex = bytes.mutex();
    mutex.initialize(Kind::Plain).unwrap();
    let whole = bytes.read();
    let fields = [STATE, LAYOUT, DEPTH, NAMESPACE, BOOT, DATA, CLAIM, CHECK];
    let ends = [LAYOUT, DEPTH, NAMESPACE, BOOT, DATA, INNER, CHECK, END];
    for _ in 0..20_000 {
        let mut image = whole;
        for _ in 0..=random.below(3) {
            let field = random.below(fields.len());
            for byte in &mut image[fields[field]..ends[field]] {
                // Few bits, many, and simple values.
                *byte = match random.below(3) {
                    0 => *byte ^ 1 << random.below(8),
                    1 => random.next() as u8,
                    _ => random.pick(&[0, 1, 0xff]),
                };
            }
        }
        // Who owns it has to release it so often.
        image[DEPTH + 1..NAMESPACE].fill(0);
        bytes.write(image);
        do_everything(mutex, &other);
        bytes.check_canaries();
        // Free the inner mutex before the bytes are used again.
        while mutex.release().is_ok() {}
        bytes.u64(STATE).store(u64::from_ne_bytes(whole[..8].try_into().unwrap()), SeqCst);
        bytes.u32(DEPTH).store(0, SeqCst);
        while mutex.release().is_ok() {}
        assert_eq!(bytes.u32(WORD).load(SeqCst) & 0x3fff_ffff, 0);
    }
}

/// A file keeps a block over a reboot, and with it the id of an owner that is dead.
#[test]
fn a_mutex_of_another_boot_is_none() {
    // SAFETY: only asks.
    let me = unsafe { libc::gettid() } as u32;
    let other = Actor::new();
    let before = [Before::Free, Before::OwnerDied, Before::Lost, Before::Retired];
    for before in before {
        // No thread's, a dead thread's, and by chance that of one that lives.
        for owner in [0, 1, me, other.id(), me | 0x8000_0000, 0x4000_0000] {
            let bytes = Bytes::zeroed();
            let mutex = bytes.mutex();
            before.make(bytes, Kind::Recursive);
            bytes.u64(BOOT).fetch_add(1, SeqCst);
            bytes.seal();
            bytes.u32(WORD).store(owner, SeqCst);
            bytes.u32(DEPTH).store(7, SeqCst);
            let image = bytes.read();
            assert_eq!(mutex.state(), Ok(State::Uninitialized));
            assert_eq!(mutex.attach(), Err(Error::Uninitialized));
            assert_eq!(bytes.read(), image, "a look has changed something");
            assert_eq!(mutex.open(Kind::Plain, Timeout::Try), Ok(true));
            take(mutex);
            assert_eq!(other.run(move || mutex.acquire(Timeout::Try)), Err(Error::Busy));
            mutex.release().unwrap();
            assert_eq!(mutex.state(), Ok(State::Free));
        }
    }
    // Nor is one whose state something has written to since.
    let bytes = Bytes::zeroed();
    Before::Free.make(bytes, Kind::Plain);
    bytes.u64(BOOT).fetch_add(1, SeqCst);
    bytes.seal();
    bytes.flip(63);
    assert_eq!(bytes.mutex().initialize(Kind::Plain), Ok(()));
}

#[test]
fn a_mutex_of_another_namespace_is_refused_and_left_alone() {
    let before = [Before::Free, Before::OwnerDied, Before::Lost, Before::Retired];
    for before in before {
        let bytes = Bytes::zeroed();
        let mutex = bytes.mutex();
        before.make(bytes, Kind::Recursive);
        bytes.u64(NAMESPACE).fetch_add(1, SeqCst);
        bytes.seal();
        let image = bytes.read();
        assert_eq!(mutex.state(), Err(Error::Namespace));
        assert_eq!(mutex.attach(), Err(Error::Namespace));
        assert_eq!(mutex.initialize(Kind::Plain), Err(Error::Namespace));
        assert_eq!(mutex.open(Kind::Plain, Timeout::Never), Err(Error::Namespace));
        assert_eq!(bytes.read(), image);
    }
}

#[test]
fn a_mutex_of_another_layout_is_refused_and_left_alone() {
    let before = [Before::Free, Before::OwnerDied, Before::Lost, Before::Retired];
    for before in before {
        let bytes = Bytes::zeroed();
        let mutex = bytes.mutex();
        before.make(bytes, Kind::Plain);
        let want = bytes.u32(LAYOUT).load(SeqCst);
        let found = want ^ 0x0012_3456;
        bytes.u32(LAYOUT).store(found, SeqCst);
        bytes.u64(STATE).fetch_xor(0x12_3456, SeqCst);
        bytes.seal();
        let image = bytes.read();
        let error = Error::Layout { found, want };
        assert_eq!(mutex.state(), Err(error));
        assert_eq!(mutex.attach(), Err(error));
        assert_eq!(mutex.initialize(Kind::Plain), Err(error));
        assert_eq!(mutex.open(Kind::Plain, Timeout::Never), Err(error));
        assert_eq!(mutex.acquire(Timeout::Never), Err(Error::Damaged));
        assert_eq!(mutex.release(), Err(Error::Damaged));
        assert_eq!(mutex.destroy(), Err(Error::Damaged));
        assert_eq!(bytes.read(), image);
    }
}

/// The state word has 24 bits of the layout, which may be the same by chance.
#[test]
fn all_bits_of_the_layout_are_compared() {
    for bit in 24..32 {
        let bytes = Bytes::zeroed();
        let mutex = bytes.mutex();
        mutex.initialize(Kind::Plain).unwrap();
        bytes.flip(8 * LAYOUT + bit);
        bytes.seal();
        assert_eq!(mutex.attach(), Err(Error::Damaged));
        assert_eq!(mutex.initialize(Kind::Plain), Err(Error::Damaged));
    }
}

/// Claims of processes that live, that are dead, and that cannot be asked.
#[test]
fn a_claim_counts_if_its_process_lives() {
    let _watchdog = watchdog();
    let initialiser = Initialiser::start(Kind::Plain);
    let bytes = Bytes::zeroed();
    bytes.mutex().initialize(Kind::Plain).unwrap();
    let boot = bytes.u64(BOOT).load(SeqCst);
    let claim = |boot, change: fn(u64) -> u64| initialiser.claim_but(boot, change);
    assert_eq!(claim(boot, |named| named), initialiser.claim());
    let claims = [
        (claim(boot, |named| named), Error::Initializing),
        // Started at another time: its pid is used again.
        (claim(boot, |named| named ^ 1 << 18), Error::Uninitialized),
        // No process has this pid.
        (claim(boot, |named| named | 0x3f_ffff << 42), Error::Uninitialized),
        (claim(boot, |named| named & !(0x3f_ffff << 42)), Error::Uninitialized),
        // Another boot, and garbage.
        (claim(boot + 1, |named| named), Error::Uninitialized),
        (initialiser.claim() ^ 1, Error::Uninitialized),
        (initialiser.claim() ^ 1 << 63, Error::Uninitialized),
        (claim(boot, |named| named ^ 1 << 30), Error::Namespace),
    ];
    for (claim, error) in claims {
        let bytes = Bytes::zeroed();
        let mutex = bytes.mutex();
        bytes.u64(CLAIM).store(claim, SeqCst);
        assert_eq!(mutex.attach(), Err(error), "{claim:#x}");
        let initialized = if error == Error::Uninitialized { Ok(()) } else { Err(error) };
        assert_eq!(mutex.initialize(Kind::Plain), initialized, "{claim:#x}");
        let left = if initialized.is_ok() { 0 } else { claim };
        assert_eq!(bytes.u64(CLAIM).load(SeqCst), left);
    }
}

#[test]
fn an_address_is_refused_exactly_if_it_is_not_aligned() {
    let _watchdog = watchdog();
    let other = Actor::new();
    for offset in 0..64 {
        let bytes = Bytes::at_offset(offset);
        // SAFETY: the bytes stay, and only this test uses them.
        let at = unsafe { RawMutex::at(bytes.as_ptr()) };
        if offset % ALIGN != 0 {
            assert_eq!(at, Err(Error::Misaligned { by: offset % ALIGN }));
            bytes.check_canaries();
            continue;
        }
        let mutex = at.unwrap();
        assert_eq!(mutex.as_ptr(), bytes.as_ptr());
        mutex.initialize(Kind::Recursive).unwrap();
        (0..3).for_each(|_| take(mutex));
        let waits = other.start_to_sleep(move || mutex.acquire(Timeout::Never));
        (0..3).for_each(|_| mutex.release().unwrap());
        assert_eq!(waits.recv().unwrap(), Ok(Ownership::Clean));
        other.run(move || mutex.give_up()).unwrap();
        mutex.initialize(Kind::Plain).unwrap();
        in_a_short_life(move || take(mutex));
        assert_eq!(mutex.acquire(Timeout::Try), Ok(Ownership::OwnerDied));
        mutex.make_consistent().unwrap();
        mutex.release().unwrap();
        mutex.destroy().unwrap();
        do_everything(mutex, &other);
        bytes.check_canaries();
    }
}

#[test]
fn null_is_no_buffer() {
    // SAFETY: nothing is accessed.
    let at = unsafe { RawMutex::at(std::ptr::null_mut()) };
    assert_eq!(at, Err(Error::TooSmall { len: 0, need: SIZE }));
}
