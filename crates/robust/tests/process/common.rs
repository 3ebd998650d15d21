//! Memory that processes share, and processes that share it.

// Two test targets use this, each a part of it.
#![allow(dead_code)]

use std::ffi::CStr;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use pysync_robust::{Kind, Ownership, RawMutex, SIZE, State, Timeout};
use pysync_testing::wait_until;

/// Within this all that was asked for has to happen, after any death.
pub(crate) const SECOND: Timeout = Timeout::After(Duration::from_secs(1));

/// How many bytes there are: enough for the mutexes and for what a test has to tell.
const BYTES: usize = 1 << 17;
/// Where the data of the mutex is.
const DATA: usize = 512;
/// Where the cells are.
const CELLS: usize = 4096;
/// Where the owner's word is in a mutex: at the beginning of glibc's, and after four bytes of musl's.
const WORD: usize = if cfg!(target_env = "musl") { 44 } else { 40 };
/// The bit of that word that says that threads sleep on it.
pub(crate) const WAITERS: u32 = 0x8000_0000;
const OWNER: u32 = 0x3fff_ffff;

/// A mapping of shared memory. A mutex at the beginning, data that it guards, and cells by which the
/// processes of a test tell each other how far they are.
pub(crate) struct Memory {
    bytes: *mut u8,
    file: libc::c_int,
}

/// What the mutex guards: two words that are the same whenever no owner is inside.
pub(crate) struct Data {
    pub(crate) a: AtomicU64,
    pub(crate) b: AtomicU64,
}

impl Data {
    /// The owner begins to change it.
    pub(crate) fn begin(&self) {
        self.a.store(self.a.load(Relaxed) + 1, Relaxed);
    }

    /// The owner has changed it.
    pub(crate) fn end(&self) {
        self.b.store(self.b.load(Relaxed) + 1, Relaxed);
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.a.load(Relaxed) == self.b.load(Relaxed)
    }

    pub(crate) fn repair(&self) {
        self.b.store(self.a.load(Relaxed), Relaxed);
    }
}

// SAFETY: the bytes are for any number of threads.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    pub(crate) fn new() -> Self {
        // SAFETY: the name is a string; the file is a new one.
        let file = unsafe {
            let file = libc::memfd_create(c"robust".as_ptr(), libc::MFD_CLOEXEC);
            assert!(file >= 0 && libc::ftruncate(file, BYTES as libc::off_t) == 0);
            file
        };
        Self::map(file)
    }

    /// With a mutex that is ready.
    pub(crate) fn with_mutex(kind: Kind) -> Self {
        let memory = Self::new();
        memory.mutex().initialize(kind).expect("zeroes");
        memory
    }

    /// The same bytes at another address.
    pub(crate) fn again(&self) -> Self {
        // SAFETY: the descriptor is ours.
        let file = unsafe { libc::fcntl(self.file, libc::F_DUPFD_CLOEXEC, 0) };
        assert!(file >= 0);
        Self::map(file)
    }

    fn map(file: libc::c_int) -> Self {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of a file that has so many bytes.
        let bytes =
            unsafe { libc::mmap(std::ptr::null_mut(), BYTES, access, libc::MAP_SHARED, file, 0) };
        assert!(bytes != libc::MAP_FAILED);
        Self { bytes: bytes.cast(), file }
    }

    pub(crate) fn mutex(&self) -> RawMutex {
        self.mutex_at(0)
    }

    /// The mutex with this number, of four.
    pub(crate) fn mutex_at(&self, number: usize) -> RawMutex {
        assert!(number < DATA / SIZE);
        // SAFETY: the bytes stay mapped for as long as the test has the memory, and are aligned.
        unsafe { RawMutex::at(self.bytes.add(number * SIZE)) }.expect("supported")
    }

    pub(crate) fn data(&self) -> &Data {
        self.data_at(0)
    }

    /// The data of the mutex with this number.
    pub(crate) fn data_at(&self, number: usize) -> &Data {
        assert!(number < DATA / SIZE);
        // SAFETY: aligned, within the mapping, and any bits are valid.
        unsafe { &*self.bytes.add(DATA + number * SIZE).cast() }
    }

    /// One of a thousand words for whatever a test needs.
    pub(crate) fn cell(&self, number: usize) -> &AtomicU32 {
        assert!(number < 1000);
        // SAFETY: as above.
        unsafe { &*self.bytes.add(CELLS + 4 * number).cast() }
    }

    /// Anything that may have any bits, after the cells.
    ///
    /// # Safety
    /// Any bits are a `T`, all access is atomic, and all processes say the same `T`.
    pub(crate) unsafe fn other<T>(&self) -> &T {
        const AT: usize = 2 * CELLS;
        assert!(size_of::<T>() <= BYTES - AT);
        // SAFETY: the mapping is aligned to a page, and so is the place in it.
        unsafe { &*self.bytes.add(AT).cast() }
    }

    /// The word of the mutex by which the kernel knows its owner.
    pub(crate) fn word(&self) -> u32 {
        // SAFETY: as above; nothing accesses the word but by atomics.
        unsafe { &*self.bytes.add(WORD).cast::<AtomicU32>() }.load(SeqCst)
    }

    /// Whether any thread has said that it sleeps, or is about to.
    pub(crate) fn has_waiters(&self) -> bool {
        self.word() & WAITERS != 0
    }

    /// Whether that word names the only thread of this process as the owner.
    pub(crate) fn is_owned_by(&self, pid: libc::pid_t) -> bool {
        self.word() & OWNER == pid as u32
    }

    /// The bytes of the mutex. No thread changes them meanwhile.
    pub(crate) fn block(&self) -> [u8; SIZE] {
        // SAFETY: as above.
        unsafe { self.bytes.cast::<[u8; SIZE]>().read_volatile() }
    }

    /// Stores the bytes of a mutex, which no thread uses.
    pub(crate) fn set_block(&self, bytes: &[u8; SIZE]) {
        // SAFETY: as above.
        unsafe { self.bytes.cast::<[u8; SIZE]>().write_volatile(*bytes) };
    }

    /// The mutex is free and its data whole: the next owner says so, and can release it.
    pub(crate) fn is_sound(&self) -> bool {
        let ok = self.mutex().acquire(SECOND) == Ok(Ownership::Clean) && self.data().is_whole();
        self.mutex().release().is_ok() && ok && self.mutex().state() == Ok(State::Free)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: by now no thread uses the mapping; the descriptor is ours.
        unsafe {
            libc::munmap(self.bytes.cast(), BYTES);
            libc::close(self.file);
        }
    }
}

/// How a process has ended, or that it was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Exited(i32),
    Killed(i32),
    Stopped(i32),
}

/// A child of the calling thread. It is killed when this is dropped, and when the thread ends.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: libc::pid_t,
    is_reaped: bool,
}

/// The exit code of a child whose body has panicked.
pub(crate) const PANICKED: i32 = 101;

/// A fork that runs `body` and then exits. It says on standard error if that panics.
///
/// The harness has more threads, and `body` may allocate: both C libraries see to that in a fork.
pub(crate) fn child(body: impl FnOnce()) -> Child {
    // SAFETY: the child runs `body` and leaves by `_exit`, unwinding nothing of the parent's.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: asks for a signal.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        lead(body);
    }
    Child { pid, is_reaped: false }
}

/// What a child does.
fn lead(body: impl FnOnce()) -> ! {
    panic::set_hook(Box::new(|info| say(&format!("in a child: {info}\n"))));
    let ended = catch_unwind(AssertUnwindSafe(body));
    // SAFETY: ends the process.
    unsafe { libc::_exit(if ended.is_ok() { 0 } else { PANICKED }) }
}

/// A fork of a child, which no longer ends with its parent, but within a minute.
pub(crate) fn grandchild(body: impl FnOnce()) -> libc::pid_t {
    // SAFETY: as in `child`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: asks for a signal.
        unsafe { libc::alarm(60) };
        lead(body);
    }
    pid
}

/// Not by `eprintln!`, whose lock a thread of the parent may have held.
fn say(message: &str) {
    // SAFETY: the bytes of a string.
    unsafe { libc::write(2, message.as_ptr().cast(), message.len()) };
}

impl Child {
    pub(crate) fn signal(&self, signal: libc::c_int) {
        assert!(!self.is_reaped);
        // SAFETY: our own child, which is not reaped yet.
        assert_eq!(unsafe { libc::kill(self.pid, signal) }, 0);
    }

    /// Kills it and waits for its end.
    pub(crate) fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        assert_eq!(self.wait(), Status::Killed(libc::SIGKILL));
    }

    /// Waits until it has ended or, if it is traced, stopped.
    pub(crate) fn wait(&mut self) -> Status {
        self.wait_with(0).expect("a status")
    }

    /// `None` if nothing has happened yet.
    pub(crate) fn poll(&mut self) -> Option<Status> {
        self.wait_with(libc::WNOHANG)
    }

    /// Waits until SIGSTOP has stopped it.
    pub(crate) fn wait_until_stopped(&mut self) {
        assert_eq!(self.wait_with(libc::WUNTRACED), Some(Status::Stopped(libc::SIGSTOP)));
    }

    fn wait_with(&mut self, flags: libc::c_int) -> Option<Status> {
        let mut status = 0;
        loop {
            // SAFETY: waits for our own child.
            match unsafe { libc::waitpid(self.pid, &mut status, flags) } {
                0 => return None,
                -1 if std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
                waited => {
                    assert_eq!(waited, self.pid, "{}", std::io::Error::last_os_error());
                    break;
                }
            }
        }
        if libc::WIFSTOPPED(status) {
            return Some(Status::Stopped(libc::WSTOPSIG(status)));
        }
        self.is_reaped = true;
        Some(if libc::WIFSIGNALED(status) {
            Status::Killed(libc::WTERMSIG(status))
        } else {
            Status::Exited(libc::WEXITSTATUS(status))
        })
    }

    /// Waits until it has ended, and leaves it a zombie.
    pub(crate) fn wait_until_zombie(&self) {
        // SAFETY: zeroes are a `siginfo_t`; waits for our own child.
        unsafe {
            let mut info = std::mem::zeroed();
            let flags = libc::WEXITED | libc::WNOWAIT;
            assert_eq!(libc::waitid(libc::P_PID, self.pid as libc::id_t, &mut info, flags), 0);
        }
    }

    /// Waits until it has ended by itself, with success.
    pub(crate) fn succeeds(mut self) {
        assert_eq!(self.wait(), Status::Exited(0));
    }

    /// Whether it waits for the mutex, in the kernel.
    pub(crate) fn is_asleep(&self, memory: &Memory) -> bool {
        memory.has_waiters() && state_of(self.pid) == Some('S')
    }

    /// Returns once it waits for the mutex. The caller keeps a watchdog.
    pub(crate) fn wait_until_asleep(&self, memory: &Memory) {
        wait_until(|| self.is_asleep(memory));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_reaped {
            self.signal(libc::SIGKILL);
            while matches!(self.wait(), Status::Stopped(_)) {}
        }
    }
}

/// The state of a process, as the kernel has it: `S` sleeps, `T` and `t` are stopped, `Z` has ended.
pub(crate) fn state_of(pid: libc::pid_t) -> Option<char> {
    // Not by an allocation: this is called often.
    let mut path = [0; 32];
    let mut stat = [0; 256];
    // SAFETY: the path and the buffer are locals that are large enough.
    let read = unsafe {
        libc::snprintf(path.as_mut_ptr(), path.len(), c"/proc/%d/stat".as_ptr(), pid);
        let file = libc::open(CStr::from_ptr(path.as_ptr()).as_ptr(), libc::O_RDONLY);
        if file < 0 {
            return None;
        }
        let read = libc::read(file, stat.as_mut_ptr().cast(), stat.len());
        libc::close(file);
        read
    };
    let stat: &[u8] = &stat[..usize::try_from(read).ok()?];
    // `id (name) S ...`; the name may hold anything.
    let name_ends = stat.iter().rposition(|&byte| byte == b')')?;
    stat.get(name_ends + 2).map(|&state| state.into())
}

/// Runs `action` and says how long that took.
pub(crate) fn timed<T>(action: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let result = action();
    (result, began.elapsed())
}
