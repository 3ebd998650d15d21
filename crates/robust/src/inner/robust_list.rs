//! The list of the robust mutexes that a thread holds, which the kernel goes through when the thread
//! dies. The C library keeps it. We read it, and empty it in the child of a fork where the library does
//! not.

use std::cell::Cell;
use std::iter;
use std::mem::MaybeUninit;

/// How many entries the kernel looks at.
const LIMIT: usize = 2048;

/// Where the list begins, as the kernel has it in `linux/futex.h`.
#[repr(C)]
struct Head {
    /// The first entry, which begins with the address of the next; the last one's is this head's.
    first: usize,
    /// What to add to the address of an entry for that of the mutex's word.
    offset: isize,
    /// A mutex that is being locked or unlocked.
    _pending: usize,
}

/// The calling thread's list; `None` if the kernel has none.
fn head() -> Option<*mut Head> {
    let mut head = MaybeUninit::<*mut Head>::zeroed();
    let mut len = 0_usize;
    // SAFETY: writes to the two locals.
    let failed = unsafe {
        libc::syscall(libc::SYS_get_robust_list, 0, head.as_mut_ptr(), &raw mut len) != 0
    };
    // SAFETY: a pointer, null if nothing was written.
    let head = unsafe { head.assume_init() };
    (!failed && !head.is_null() && len == size_of::<Head>()).then_some(head)
}

/// The addresses of the words of the robust mutexes that the calling thread holds, those of other
/// libraries too; `None` if the kernel has no list. The list must not change meanwhile.
pub(crate) fn words() -> Option<impl Iterator<Item = usize>> {
    let head = head()?;
    // SAFETY: the thread's own list, which the C library has registered and keeps valid.
    let (first, offset) = unsafe { ((*head).first, (*head).offset) };
    // Bit 0 of an entry's address says that the mutex has priority inheritance.
    let entry = move |link: usize| (link & !1 != head.addr()).then_some(link & !1);
    let entries = iter::successors(entry(first), move |&at| {
        // SAFETY: an entry of the list. Integers have lost their provenance: the entries belong to
        // the C library.
        entry(unsafe { *std::ptr::with_exposed_provenance::<usize>(at) })
    });
    Some(entries.map(move |at| at.wrapping_add_signed(offset)))
}

/// From now on the child of a fork begins with an empty list, since it owns nothing. glibc sees to that
/// itself. musl leaves the child a list of what its parent owns, which lies in memory that both share:
/// a lock in the child would change the parent's list, and the end of the thread would take from the
/// parent what it owns.
#[cfg(target_env = "musl")]
pub(super) fn empty_in_children() -> bool {
    use std::ptr::null_mut;

    thread_local! {
        static HEAD: Cell<*mut Head> = const { Cell::new(null_mut()) };
    }
    // The kernel has no list for the child yet, so the parent asks.
    extern "C" fn before() {
        HEAD.set(head().unwrap_or(null_mut()));
    }
    extern "C" fn in_child() {
        let head = HEAD.get();
        if !head.is_null() {
            // SAFETY: the thread's own list, in the child's own memory.
            unsafe { (*head).first = head.addr() };
        }
    }
    // SAFETY: the two functions stay, and do nothing that a child of a fork may not do.
    unsafe { libc::pthread_atfork(Some(before), None, Some(in_child)) == 0 }
}

thread_local! {
    /// How many more the calling thread may lock before it has to look how many it holds.
    static ROOM: Cell<u32> = const { Cell::new(0) };
}

/// Room for one more entry in the calling thread's list.
pub(super) struct Room;

impl Room {
    /// `None` if the thread holds as many as the kernel looks at.
    ///
    /// What the thread locks and unlocks through this crate is counted. What else it locks, in C say, is
    /// seen when the list is gone through: at the thread's first lock and whenever the count has
    /// used up half of what was left.
    #[inline(always)]
    pub(super) fn find() -> Option<Self> {
        if ROOM.get() > 0 || look() { Some(Self) } else { None }
    }

    /// The mutex is locked.
    #[inline(always)]
    pub(super) fn take(self) {
        ROOM.set(ROOM.get() - 1);
    }

    /// A mutex is unlocked.
    #[inline(always)]
    pub(super) fn give_back() {
        ROOM.set(ROOM.get() + 1);
    }
}

#[cold]
fn look() -> bool {
    // A thread without a list has locked nothing yet: musl registers the list at the first lock.
    let held = words().map_or(0, |words| words.take(LIMIT).count());
    let left = LIMIT - held;
    ROOM.set(left.div_ceil(2) as u32);
    left > 0
}
