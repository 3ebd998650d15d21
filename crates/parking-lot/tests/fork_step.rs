//! A fork in a signal handler at every single instruction of a park and of an unpark, by the
//! processor's trap flag. The child comes back to that instruction, and either ends what it was at
//! or aborts with the message that says why; it never crashes, panics, or leaves an entry behind.
#![cfg(all(
    target_os = "linux",
    target_arch = "x86_64",
    not(any(pysync_loom, pysync_shuttle, pysync_portable, miri))
))]

mod common;

use std::arch::asm;
use std::pin::pin;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use common::park_announced;
use pysync_parking_lot::{
    Choice, Key, ParkStatus, Position, Waiter, inspect, park, register_fork_handler, unpark,
    unpark_filter, unpark_requeue,
};
use pysync_testing::{wait_until, watchdog_for};

static WORD: AtomicU32 = AtomicU32::new(0);
const MESSAGE: &[u8] = b"pysync: a signal handler forked inside park or unpark";

static IN_CHILD: AtomicBool = AtomicBool::new(false);
static STEPS: AtomicUsize = AtomicUsize::new(0);
static ENDED: AtomicUsize = AtomicUsize::new(0);
static ABORTED: AtomicUsize = AtomicUsize::new(0);
/// Children that did anything else, and the status of the last.
static FAILED: AtomicUsize = AtomicUsize::new(0);
static STATUS: AtomicUsize = AtomicUsize::new(0);

const TRAP: usize = 0x100;

/// Makes the processor trap after each instruction.
#[inline(always)]
fn step() {
    // SAFETY: flags of the processor, by way of the stack.
    unsafe { asm!("pushfq", "or qword ptr [rsp], {}", "popfq", const TRAP) };
}

#[inline(always)]
fn run() {
    // SAFETY: as above.
    unsafe { asm!("pushfq", "and qword ptr [rsp], {}", "popfq", const !TRAP as i32) };
}

/// One child for each instruction; it goes on without traps. Not in the kernel's own code, which
/// reads the clock, and reads it again if that has moved on meanwhile: by now it always has.
extern "C" fn on_trap(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: only functions that a handler may call, on locals; the context is the kernel's.
    unsafe {
        let at = (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize];
        let vdso = libc::getauxval(libc::AT_SYSINFO_EHDR);
        if (vdso..vdso + 0x4000).contains(&(at as u64)) {
            return;
        }
        STEPS.fetch_add(1, SeqCst);
        let mut pipe = [0; 2];
        libc::pipe(pipe.as_mut_ptr());
        let pid = libc::fork();
        if pid == 0 {
            let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
            registers[libc::REG_EFL as usize] &= !(TRAP as i64);
            libc::dup2(pipe[1], 2);
            IN_CHILD.store(true, SeqCst);
            // It must not hang.
            libc::alarm(10);
            return;
        }
        let (mut status, mut message) = (0, [0_u8; 256]);
        while libc::waitpid(pid, &mut status, 0) < 0 {}
        libc::close(pipe[1]);
        let read = libc::read(pipe[0], message.as_mut_ptr().cast(), message.len());
        libc::close(pipe[0]);
        let message = &message[..usize::try_from(read).unwrap_or(0)];
        let aborted = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGABRT;
        let count = match status {
            0 => &ENDED,
            _ if aborted && message.starts_with(MESSAGE) => &ABORTED,
            _ => {
                libc::write(2, message.as_ptr().cast(), message.len());
                STATUS.store(status as usize, SeqCst);
                &FAILED
            }
        };
        count.fetch_add(1, SeqCst);
    }
}

/// Steps through `operation`; each child says whether it came out well.
fn fork_at_each_step(name: &str, operation: impl FnOnce() -> bool) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let _watchdog = watchdog_for(Duration::from_secs(240));
    register_fork_handler();
    // SAFETY: a zeroed sigaction is an empty one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_trap as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGTRAP, &action, null_mut()), 0);
    }
    for count in [&STEPS, &ENDED, &ABORTED, &FAILED] {
        count.store(0, SeqCst);
    }

    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        step();
        let ok = operation();
        run();
        ok
    }));
    run();
    if IN_CHILD.load(SeqCst) {
        let mut found = false;
        unpark(&WORD, |unparked| found = unparked.is_some());
        let ok = matches!(result, Ok(true)) && !found;
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(!ok)) };
    }
    assert!(matches!(result, Ok(true)), "in the parent");
    let [steps, ended, aborted, failed] =
        [&STEPS, &ENDED, &ABORTED, &FAILED].map(|count| count.load(SeqCst));
    println!("{name}: {steps} instructions, {ended} children ended well, {aborted} aborted");
    assert_eq!(failed, 0, "the last with status {:#x}", STATUS.load(SeqCst));
    assert!(ended > 0 && aborted > 0 && ended + aborted == steps);
}

#[test]
fn a_park_that_times_out() {
    fork_at_each_step("park", || {
        let soon = Some(Duration::from_micros(10));
        // `Again` in a child that was forgotten; it is to look at its word.
        park(&WORD, 0, soon, null_mut(), false) != ParkStatus::Ok
    });
}

#[test]
fn an_unpark_that_finds_no_waiter() {
    fork_at_each_step("unpark", || {
        unpark(&WORD, |unparked| assert!(unparked.is_none()));
        true
    });
}

#[test]
fn an_unpark_that_finds_a_waiter() {
    // Not `WORD`, on which a child looks for what it has left behind.
    static WAITED_FOR: AtomicU32 = AtomicU32::new(0);
    let queued = AtomicUsize::new(0);
    thread::scope(|s| {
        s.spawn(|| {
            assert_eq!(park_announced(&WAITED_FOR, 0, None, null_mut(), &queued), ParkStatus::Ok);
        });
        wait_until(|| queued.load(SeqCst) == 1);
        fork_at_each_step("unpark of a waiter", || {
            unpark(&WAITED_FOR, |_| ());
            true
        });
    });
}

/// Steps through an operation on a key with three waiters, which are queued and not asleep, and on
/// the key of `WORD`.
fn with_waiters(name: &str, operation: impl FnOnce(Key, Key)) {
    let waited_for = AtomicU32::new(0);
    let waiters: [_; 3] = std::array::from_fn(|_| {
        let waiter = Box::pin(Waiter::new(null_mut()));
        // SAFETY: nothing reads the park arguments of a test's own word.
        assert!(unsafe { waiter.as_ref().queue(Key::of(&waited_for), Position::Back, || true) });
        waiter
    });
    fork_at_each_step(name, || {
        operation(Key::of(&waited_for), Key::of(&WORD));
        true
    });
    // In the parent all is as it should be; a child has ended by now.
    waiters.iter().for_each(|waiter| _ = waiter.as_ref().leave());
    let parked =
        [Key::of(&waited_for), Key::of(&WORD)].map(|key| inspect(key, |args| args.count()));
    assert_eq!(parked, [0, 0]);
}

#[test]
fn a_move_to_another_key() {
    with_waiters("unpark_requeue", |from, to| {
        // One is woken, one moved, one stays.
        let mut choices = [Choice::Unpark, Choice::Requeue, Choice::Stop].into_iter();
        // SAFETY: nothing reads the park arguments of a test's own words.
        unsafe { unpark_requeue(from, |_| Some(to), |_| choices.next().unwrap(), |_| ()) };
    });
}

#[test]
fn an_unpark_of_the_second_waiter() {
    with_waiters("unpark_filter", |from, _| {
        let mut choices = [Choice::Skip, Choice::Unpark, Choice::Skip].into_iter();
        unpark_filter(from, |_| choices.next().unwrap(), |_| ());
    });
}

#[test]
fn a_waiter_that_queues_itself_and_leaves() {
    with_waiters("queue and leave", |from, _| {
        let waiter = pin!(Waiter::new(null_mut()));
        // SAFETY: nothing reads the park arguments of a test's own word.
        unsafe { waiter.as_ref().queue(from, Position::Front, || true) };
        waiter.as_ref().leave();
    });
}
