//! Deaths of every kind, and what only looks like one.

use std::ffi::{c_int, c_void};
use std::process::Command;
use std::ptr::{null, null_mut};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use pysync_robust::{Error, Kind, Ownership, RawMutex, State, Timeout};
use pysync_testing::{wait_until, watchdog};

use crate::common::{Child, Memory, SECOND, Status, child, grandchild, state_of};

/// The cell by which a child says that it has the mutex.
const HAS_IT: usize = 0;
/// The cell by which the test lets it go on.
const GO_ON: usize = 1;
/// How many waiters have got which answer.
const CLEAN: usize = 2;
const OWNER_DIED: usize = 3;
const LOST: usize = 4;

fn acquire(memory: &Memory) {
    assert_eq!(memory.mutex().acquire(Timeout::Never), Ok(Ownership::Clean));
    memory.data().begin();
    memory.cell(HAS_IT).store(1, SeqCst);
}

fn release(memory: &Memory) {
    memory.data().end();
    memory.mutex().release().unwrap();
}

fn until_told(memory: &Memory, cell: usize) {
    wait_until(|| memory.cell(cell).load(SeqCst) == 1);
}

/// A child that has the mutex, and does `then` when it is let go on.
fn owner(memory: &Memory, then: impl FnOnce()) -> Child {
    memory.cell(HAS_IT).store(0, SeqCst);
    memory.cell(GO_ON).store(0, SeqCst);
    let child = child(|| {
        acquire(memory);
        until_told(memory, GO_ON);
        then();
    });
    until_told(memory, HAS_IT);
    child
}

fn go_on(memory: &Memory) {
    memory.cell(GO_ON).store(1, SeqCst);
}

/// A child that waits for the mutex, repairs the data if it has to, and counts the answer.
fn waiter(memory: &Memory) -> Child {
    let child = child(|| {
        let mutex = memory.mutex();
        let cell = match mutex.acquire(Timeout::Never) {
            Ok(Ownership::Clean) => {
                assert!(memory.data().is_whole());
                CLEAN
            }
            Ok(Ownership::OwnerDied) => {
                memory.data().repair();
                mutex.make_consistent().unwrap();
                OWNER_DIED
            }
            Err(error) => panic!("{error}"),
        };
        memory.cell(cell).fetch_add(1, SeqCst);
        mutex.release().unwrap();
    });
    child.wait_until_asleep(memory);
    child
}

/// The next one gets the mutex, is told of a death, and repairs what there is.
fn death_is_seen(memory: &Memory) {
    let mutex = memory.mutex();
    assert_eq!(mutex.acquire(SECOND), Ok(Ownership::OwnerDied));
    assert!(!memory.data().is_whole());
    memory.data().repair();
    mutex.make_consistent().unwrap();
    mutex.release().unwrap();
    assert!(memory.is_sound());
}

/// Once without a waiter, once with one that sleeps, and once more in which it is left a zombie.
#[track_caller]
fn is_a_death(ends: fn(&Memory), status: Status) {
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);

    let mut dies = owner(&memory, || ends(&memory));
    go_on(&memory);
    assert_eq!(dies.wait(), status);
    assert_eq!(memory.mutex().state(), Ok(State::OwnerDied));
    death_is_seen(&memory);

    let mut dies = owner(&memory, || ends(&memory));
    let waits = waiter(&memory);
    go_on(&memory);
    waits.succeeds();
    assert_eq!(memory.cell(OWNER_DIED).load(SeqCst), 1);
    assert_eq!(dies.wait(), status);
    assert!(memory.is_sound());

    let mut dies = owner(&memory, || ends(&memory));
    go_on(&memory);
    dies.wait_until_zombie();
    assert_eq!(state_of(dies.pid), Some('Z'));
    death_is_seen(&memory);
    assert_eq!(dies.wait(), status);
}

#[test]
fn returns_from_main() {
    is_a_death(|_| (), Status::Exited(0));
}

#[test]
fn exits() {
    // SAFETY: ends the process, with what the C library does at its end.
    is_a_death(|_| unsafe { libc::exit(7) }, Status::Exited(7));
}

#[test]
fn exits_at_once() {
    // SAFETY: ends the process.
    is_a_death(|_| unsafe { libc::_exit(7) }, Status::Exited(7));
}

#[test]
fn aborts() {
    let ends = |_: &Memory| {
        // SAFETY: reads a local, and ends the process.
        unsafe {
            libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 });
            libc::abort()
        }
    };
    is_a_death(ends, Status::Killed(libc::SIGABRT));
}

#[test]
fn is_killed() {
    let ends = |_: &Memory| {
        // SAFETY: a signal to the caller itself.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    };
    is_a_death(ends, Status::Killed(libc::SIGKILL));
}

#[test]
fn fails_to_access_memory() {
    let ends = |_: &Memory| {
        // SAFETY: the default for a signal that the caller then sends to itself.
        unsafe {
            libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 });
            libc::signal(libc::SIGSEGV, libc::SIG_DFL);
            libc::kill(libc::getpid(), libc::SIGSEGV);
        }
    };
    is_a_death(ends, Status::Killed(libc::SIGSEGV));
}

/// The process lives on as another program; the owner does not.
#[test]
fn becomes_another_program() {
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    for waits_too in [false, true] {
        let mut pipe = [0; 2];
        // SAFETY: writes to a local.
        assert_eq!(unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
        let mut cat = owner(&memory, || {
            let arguments = [c"cat".as_ptr(), null()];
            // SAFETY: the descriptor is open, the strings and the list of them end with a zero.
            unsafe {
                libc::dup2(pipe[0], 0);
                libc::execvp(arguments[0], arguments.as_ptr());
            }
        });
        let waits = waits_too.then(|| waiter(&memory));
        go_on(&memory);
        match waits {
            None => death_is_seen(&memory),
            Some(waits) => waits.succeeds(),
        }
        assert_eq!(cat.poll(), None, "the process lives");
        // SAFETY: our own descriptors. It ends when no process can write any more.
        unsafe { assert!(libc::close(pipe[0]) == 0 && libc::close(pipe[1]) == 0) };
        assert_eq!(cat.wait(), Status::Exited(0));
    }
    assert_eq!(memory.cell(OWNER_DIED).load(SeqCst), 1);
    assert!(memory.is_sound());
}

#[test]
fn thread_returns() {
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    thread::scope(|s| s.spawn(|| acquire(&memory)).join().unwrap());
    death_is_seen(&memory);

    memory.cell(HAS_IT).store(0, SeqCst);
    thread::scope(|s| {
        s.spawn(|| {
            acquire(&memory);
            until_told(&memory, GO_ON);
        });
        until_told(&memory, HAS_IT);
        let waits = waiter(&memory);
        go_on(&memory);
        waits.succeeds();
    });
    assert_eq!(memory.cell(OWNER_DIED).load(SeqCst), 1);
    assert!(memory.is_sound());
}

#[test]
fn thread_panics() {
    const MESSAGE: &str = "the owner panics";
    let _watchdog = watchdog();
    pysync_testing::hush_panics(MESSAGE);
    let memory = Memory::with_mutex(Kind::Plain);
    let ended = thread::scope(|s| {
        let owner = s.spawn(|| {
            acquire(&memory);
            panic!("{MESSAGE}");
        });
        owner.join()
    });
    assert!(ended.is_err());
    death_is_seen(&memory);
}

type Start = extern "C-unwind" fn(*mut c_void) -> *mut c_void;

unsafe extern "C" {
    fn pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        start: Start,
        argument: *mut c_void,
    ) -> c_int;
}

unsafe extern "C-unwind" {
    fn pthread_exit(result: *mut c_void) -> !;
}

extern "C-unwind" fn acquire_and_exit(memory: *mut c_void) -> *mut c_void {
    // SAFETY: the test has the memory until it has joined the thread.
    acquire(unsafe { &*memory.cast::<Memory>() });
    // SAFETY: no frame of the thread has anything to drop.
    unsafe { pthread_exit(null_mut()) }
}

/// Runs `start` in a thread of C, to its end.
fn run_in_c(memory: &Memory, start: Start) {
    let mut thread = 0 as libc::pthread_t;
    let argument = std::ptr::from_ref(memory).cast_mut().cast();
    // SAFETY: the thread is joined before the memory is gone.
    unsafe {
        assert_eq!(pthread_create(&mut thread, null(), start, argument), 0);
        assert_eq!(libc::pthread_join(thread, null_mut()), 0);
    }
}

#[test]
fn thread_exits() {
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    run_in_c(&memory, acquire_and_exit);
    death_is_seen(&memory);
}

/// The first thread of a process exits and leaves a zombie, and the others go on. Its mutexes are those of
/// a dead owner; the others' are not.
#[test]
fn first_thread_exits() {
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    let second = memory.mutex_at(1);
    second.initialize(Kind::Plain).unwrap();
    extern "C-unwind" fn goes_on(memory: *mut c_void) -> *mut c_void {
        // SAFETY: the process has the memory for as long as it lives.
        let memory = unsafe { &*memory.cast::<Memory>() };
        assert_eq!(memory.mutex_at(1).acquire(Timeout::Never), Ok(Ownership::Clean));
        memory.cell(HAS_IT).store(2, SeqCst);
        until_told(memory, GO_ON);
        memory.mutex_at(1).release().unwrap();
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) }
    }
    let process = child(|| {
        acquire(&memory);
        let mut thread = 0 as libc::pthread_t;
        let argument = (&raw const memory).cast_mut().cast();
        // SAFETY: the memory stays; the first thread exits as the kernel sees it, and no frame of it
        // is left.
        unsafe {
            assert_eq!(pthread_create(&mut thread, null(), goes_on, argument), 0);
            wait_until(|| memory.cell(HAS_IT).load(SeqCst) == 2);
            libc::syscall(libc::SYS_exit, 0);
        }
    });
    wait_until(|| state_of(process.pid) == Some('Z'));
    death_is_seen(&memory);
    assert_eq!(second.acquire(Timeout::Try), Err(Error::Busy));
    go_on(&memory);
    process.succeeds();
    assert_eq!(second.acquire(Timeout::Try), Ok(Ownership::Clean));
    second.release().unwrap();
}

#[test]
fn stopped_is_not_dead() {
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    let mutex = memory.mutex();
    let mut stopped = owner(&memory, || release(&memory));
    stopped.signal(libc::SIGSTOP);
    stopped.wait_until_stopped();
    go_on(&memory);
    assert_eq!(mutex.acquire(Timeout::Try), Err(Error::Busy));
    let soon = Timeout::After(Duration::from_millis(20));
    assert_eq!(mutex.acquire(soon), Err(Error::TimedOut));
    let held = State::Held { owner: stopped.pid as u32, inconsistent: false };
    assert_eq!(mutex.state(), Ok(held));
    assert_eq!(mutex.destroy(), Err(Error::Busy));
    let waits = waiter(&memory);

    stopped.signal(libc::SIGCONT);
    waits.succeeds();
    assert_eq!(memory.cell(CLEAN).load(SeqCst), 1);
    stopped.succeeds();
    assert!(memory.is_sound());
}

/// A waiter that is stopped while the mutex is released to it keeps no other waiter from it.
#[test]
fn stopped_waiter_is_overtaken() {
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    let owns = owner(&memory, || release(&memory));
    let mut stopped = waiter(&memory);
    let waits = waiter(&memory);
    stopped.signal(libc::SIGSTOP);
    stopped.wait_until_stopped();
    go_on(&memory);
    waits.succeeds();
    owns.succeeds();
    stopped.signal(libc::SIGCONT);
    stopped.succeeds();
    assert_eq!(memory.cell(CLEAN).load(SeqCst), 2);
    assert!(memory.is_sound());
}

/// A child does not own what its parent owns, and the parent's death is one.
#[test]
fn forks_while_it_owns() {
    const FAILED: usize = 10;
    const READY: usize = 11;
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    let mutex = memory.mutex();
    let mut parent = owner(&memory, || {
        grandchild(|| {
            let answers = [
                mutex.release() == Err(Error::NotOwner),
                mutex.give_up() == Err(Error::NotOwner),
                mutex.make_consistent() == Err(Error::NotOwner),
                mutex.acquire(Timeout::Try) == Err(Error::Busy),
                mutex.destroy() == Err(Error::Busy),
                mutex.initialize(Kind::Plain) == Err(Error::AlreadyInitialized),
            ];
            let failed = answers.iter().position(|answer| !answer);
            memory.cell(FAILED).store(failed.map_or(0, |at| at as u32 + 1), SeqCst);
            memory.cell(READY).store(1, SeqCst);
            let repaired = mutex.acquire(Timeout::Never) == Ok(Ownership::OwnerDied);
            memory.data().repair();
            let repaired = repaired && mutex.make_consistent().is_ok() && mutex.release().is_ok();
            memory.cell(READY).store(if repaired { 2 } else { 3 }, SeqCst);
        });
        wait_until(|| false);
    });
    go_on(&memory);
    wait_until(|| memory.cell(READY).load(SeqCst) == 1 && memory.has_waiters());
    assert_eq!(memory.cell(FAILED).load(SeqCst), 0, "the answer with this number was wrong");
    parent.kill();
    wait_until(|| memory.cell(READY).load(SeqCst) != 1);
    assert_eq!(memory.cell(READY).load(SeqCst), 2);
    assert!(memory.is_sound());
}

/// Whether the list is empty that the kernel goes through when the calling thread dies.
fn owns_nothing() -> bool {
    let mut head = null_mut::<usize>();
    let mut len = 0_usize;
    // SAFETY: writes to the two locals. The list begins with the address of the first entry, which is
    // that of the list itself if there is none.
    unsafe {
        assert_eq!(libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut len), 0);
        head.is_null() || *head == head.addr()
    }
}

/// A child that locks others while its parent owns one changes nothing in the parent's list.
#[test]
fn child_of_an_owner_owns_others() {
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    let other = memory.mutex_at(1);
    other.initialize(Kind::Plain).unwrap();
    let round = |mutex: RawMutex| {
        assert_eq!(mutex.acquire(SECOND), Ok(Ownership::Clean));
        mutex.release().unwrap();
    };
    child(|| {
        acquire(&memory);
        // One that ends while it owns another, and one that goes on with the first.
        let dies = child(|| assert_eq!(other.acquire(SECOND), Ok(Ownership::Clean)));
        dies.succeeds();
        assert_eq!(other.acquire(SECOND), Ok(Ownership::OwnerDied));
        other.make_consistent().unwrap();
        other.release().unwrap();
        let waits = child(|| {
            assert_eq!(other.acquire(SECOND), Ok(Ownership::Clean));
            memory.cell(CLEAN).store(1, SeqCst);
            until_told(&memory, GO_ON);
            other.release().unwrap();
            round(memory.mutex());
            round(other);
        });
        until_told(&memory, CLEAN);
        release(&memory);
        go_on(&memory);
        waits.succeeds();
        assert!(owns_nothing());
        round(memory.mutex());
        round(other);
        assert!(owns_nothing());
        assert_eq!(other.acquire(SECOND), Ok(Ownership::Clean));
    })
    .succeeds();
    assert!(memory.is_sound(), "the parent did not own it when it died");
    assert_eq!(other.acquire(SECOND), Ok(Ownership::OwnerDied));
    other.release().unwrap();
}

/// The thread that has forked ends in the child, where another goes on. It takes nothing with it that
/// its parent owns.
#[test]
fn thread_of_a_child_ends() {
    const CHILD: usize = 10;
    const GO_ON_IN_CHILD: usize = 11;
    extern "C-unwind" fn goes_on(memory: *mut c_void) -> *mut c_void {
        // SAFETY: the process has the memory for as long as it lives.
        until_told(unsafe { &*memory.cast::<Memory>() }, GO_ON_IN_CHILD);
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) }
    }
    extern "C-unwind" fn acquire_and_fork(memory: *mut c_void) -> *mut c_void {
        // SAFETY: as above.
        let shared = unsafe { &*memory.cast::<Memory>() };
        acquire(shared);
        // SAFETY: the child only starts a thread.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let mut thread = 0 as libc::pthread_t;
            // SAFETY: as above.
            unsafe {
                libc::alarm(60);
                assert_eq!(pthread_create(&mut thread, null(), goes_on, memory), 0);
            }
            return null_mut();
        }
        shared.cell(CHILD).store(pid as u32, SeqCst);
        until_told(shared, GO_ON);
        release(shared);
        shared.cell(GO_ON_IN_CHILD).store(1, SeqCst);
        null_mut()
    }
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    let owns = child(|| run_in_c(&memory, acquire_and_fork));
    wait_until(|| match memory.cell(CHILD).load(SeqCst) {
        0 => false,
        // The first thread of it, which is the only one at first.
        pid => state_of(pid as libc::pid_t) == Some('Z'),
    });
    assert_eq!(memory.mutex().acquire(Timeout::Try), Err(Error::Busy), "two owners");
    go_on(&memory);
    owns.succeeds();
    assert!(memory.is_sound());
}

/// To start a program shares the memory with it for a moment, or forks.
#[test]
fn starts_a_program_while_it_owns() {
    use std::os::unix::process::CommandExt;

    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    acquire(&memory);
    assert!(Command::new("true").status().unwrap().success());
    // SAFETY: does nothing, but has std fork.
    let forked = unsafe { Command::new("true").pre_exec(|| Ok(())).status() };
    assert!(forked.unwrap().success());
    let busy = || assert_eq!(memory.mutex().acquire(Timeout::Try), Err(Error::Busy));
    child(busy).succeeds();
    release(&memory);
    assert!(memory.is_sound());
}

#[test]
fn depth_begins_again() {
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Recursive);
    let mutex = memory.mutex();
    let dies = owner(&memory, || {
        assert_eq!(mutex.acquire(Timeout::Try), Ok(Ownership::Clean));
        assert_eq!(mutex.acquire(Timeout::Try), Ok(Ownership::Clean));
    });
    go_on(&memory);
    dies.succeeds();
    assert_eq!(mutex.acquire(SECOND), Ok(Ownership::OwnerDied));
    assert_eq!(mutex.acquire(SECOND), Ok(Ownership::OwnerDied), "the second level is told too");
    memory.data().repair();
    mutex.make_consistent().unwrap();
    mutex.release().unwrap();
    let busy = || assert_eq!(mutex.acquire(Timeout::Try), Err(Error::Busy));
    child(busy).succeeds();
    mutex.release().unwrap();
    assert_eq!(mutex.release(), Err(Error::NotOwner));
    child(|| assert!(memory.is_sound())).succeeds();
}

/// Four that sleep, and their owner dies: one is told, and repairs the data for the others.
#[test]
fn one_of_many_is_told() {
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    let mut dies = owner(&memory, || wait_until(|| false));
    let waiters: Vec<_> = (0..4).map(|_| waiter(&memory)).collect();
    dies.kill();
    waiters.into_iter().for_each(Child::succeeds);
    assert_eq!(memory.cell(OWNER_DIED).load(SeqCst), 1);
    assert_eq!(memory.cell(CLEAN).load(SeqCst), 3);
    assert!(memory.is_sound());
}

/// Four that sleep, and the one that is told gives up: all others get the same answer, at once and later.
#[track_caller]
fn all_are_told_that_it_is_lost(gives_up: fn(&RawMutex) -> Result<(), Error>) {
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    let mutex = memory.mutex();
    let mut dies = owner(&memory, || wait_until(|| false));
    let waiter = || {
        let child = child(|| {
            let cell = match mutex.acquire(Timeout::Never) {
                Ok(Ownership::OwnerDied) => {
                    gives_up(&mutex).unwrap();
                    OWNER_DIED
                }
                Err(Error::NotRecoverable) => LOST,
                other => panic!("{other:?}"),
            };
            memory.cell(cell).fetch_add(1, SeqCst);
        });
        child.wait_until_asleep(&memory);
        child
    };
    let waiters: Vec<_> = (0..4).map(|_| waiter()).collect();
    dies.kill();
    waiters.into_iter().for_each(Child::succeeds);
    assert_eq!(memory.cell(OWNER_DIED).load(SeqCst), 1);
    assert_eq!(memory.cell(LOST).load(SeqCst), 3);
    assert_eq!(mutex.state(), Ok(State::NotRecoverable));
    for timeout in [Timeout::Never, Timeout::Try, SECOND] {
        assert_eq!(mutex.acquire(timeout), Err(Error::NotRecoverable));
    }
    mutex.initialize(Kind::Plain).unwrap();
    memory.data().repair();
    assert!(memory.is_sound());
}

#[test]
fn lost_by_giving_up() {
    all_are_told_that_it_is_lost(RawMutex::give_up);
}

#[test]
fn lost_by_releasing_what_is_not_repaired() {
    all_are_told_that_it_is_lost(RawMutex::release);
}

/// Those who die before they have repaired the data pass on what they were told.
#[test]
fn dies_before_the_repair() {
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    let mutex = memory.mutex();
    owner(&memory, || ()).kill();
    for turn in 0..3 {
        let heir = child(|| {
            assert_eq!(mutex.acquire(SECOND), Ok(Ownership::OwnerDied));
            // An owner that has not repaired the data may also start to.
            if turn == 1 {
                memory.data().end();
            }
            if turn == 2 {
                memory.data().begin();
            }
        });
        heir.succeeds();
        assert_eq!(mutex.state(), Ok(State::OwnerDied));
    }
    death_is_seen(&memory);
}

/// A process that has initialised the mutex, and is dead, has nothing more to say.
#[test]
fn initializer_is_dead() {
    let _watchdog = watchdog();
    let memory = Memory::new();
    child(|| memory.mutex().initialize(Kind::Plain).unwrap()).succeeds();
    assert_eq!(memory.mutex().attach(), Ok(()));
    assert_eq!(memory.mutex().initialize(Kind::Plain), Err(Error::AlreadyInitialized));
    assert!(memory.is_sound());
}

/// Many initialise at once, and one succeeds.
#[test]
fn one_initializes() {
    let _watchdog = watchdog();
    for _ in 0..100 {
        let memory = Memory::new();
        let processes: Vec<_> = (0..3)
            .map(|_| {
                child(|| {
                    memory.cell(HAS_IT).fetch_add(1, SeqCst);
                    wait_until(|| memory.cell(HAS_IT).load(SeqCst) == 3);
                    if memory.mutex().open(Kind::Plain, SECOND).unwrap() {
                        memory.cell(CLEAN).fetch_add(1, SeqCst);
                    }
                    assert!(memory.mutex().acquire(SECOND) == Ok(Ownership::Clean));
                    memory.data().begin();
                    memory.data().end();
                    memory.mutex().release().unwrap();
                })
            })
            .collect();
        processes.into_iter().for_each(Child::succeeds);
        assert_eq!(memory.cell(CLEAN).load(SeqCst), 1);
        assert!(memory.is_sound());
        assert_eq!(memory.data().a.load(SeqCst), 3);
    }
}

/// The same bytes twice in one process: it is one mutex.
#[test]
fn mapped_twice() {
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    let again = memory.again();
    let (here, there) = (memory.mutex(), again.mutex());
    for (takes, gives) in [(here, there), (there, here), (here, here)] {
        assert_eq!(takes.acquire(Timeout::Try), Ok(Ownership::Clean));
        assert_eq!(gives.acquire(Timeout::Never), Err(Error::Deadlock));
        thread::scope(|s| {
            let other = s.spawn(|| gives.acquire(Timeout::Try));
            assert_eq!(other.join().unwrap(), Err(Error::Busy));
        });
        gives.release().unwrap();
        assert_eq!(takes.release(), Err(Error::NotOwner));
    }
    // Two mutexes, each through another mapping, released in either order.
    let other = again.mutex_at(1);
    other.initialize(Kind::Plain).unwrap();
    let pairs = [[here, again.mutex_at(1)], [memory.mutex_at(1), there]];
    for [first, second] in pairs {
        for reversed in [false, true] {
            assert_eq!(first.acquire(Timeout::Try), Ok(Ownership::Clean));
            assert_eq!(second.acquire(Timeout::Try), Ok(Ownership::Clean));
            let ends = if reversed { [second, first] } else { [first, second] };
            ends.iter().for_each(|mutex| mutex.release().unwrap());
        }
    }
    // A death through one is seen through the other.
    let dies = child(|| acquire(&again));
    dies.succeeds();
    death_is_seen(&memory);
    // It dies between the mappings: taken through one, and released through the other.
    let dies = child(|| {
        acquire(&memory);
        release(&again);
    });
    dies.succeeds();
    assert!(memory.is_sound() && again.is_sound());
}

/// In another pid namespace other processes have the same numbers, so there would be two owners.
#[test]
fn other_namespace() {
    const SKIPPED: c_int = 77;
    let _watchdog = watchdog();
    let memory = Memory::with_mutex(Kind::Plain);
    let fresh = memory.mutex_at(1);
    let mut outside = child(|| {
        // SAFETY: changes where children of this process are.
        if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
            // SAFETY: ends the process.
            unsafe { libc::_exit(SKIPPED) };
        }
        let inside = child(|| {
            let mutex = memory.mutex();
            assert_eq!(std::process::id(), 1);
            assert_eq!(mutex.attach(), Err(Error::Namespace));
            assert_eq!(mutex.initialize(Kind::Plain), Err(Error::Namespace));
            assert_eq!(mutex.open(Kind::Plain, SECOND), Err(Error::Namespace));
            assert_eq!(mutex.state(), Err(Error::Namespace));
            // What it makes itself is its own.
            fresh.initialize(Kind::Plain).unwrap();
            assert_eq!(fresh.acquire(Timeout::Try), Ok(Ownership::Clean));
        });
        inside.succeeds();
    });
    let status = outside.wait();
    if status == Status::Exited(SKIPPED) {
        println!("skipped: this process may not make a pid namespace");
        return;
    }
    assert_eq!(status, Status::Exited(0));
    assert_eq!(fresh.attach(), Err(Error::Namespace));
    assert_eq!(fresh.initialize(Kind::Plain), Err(Error::Namespace));
    assert_eq!(fresh.state(), Err(Error::Namespace));
    assert!(memory.is_sound());
}
