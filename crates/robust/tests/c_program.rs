//! The functions of `include/pysync_robust.h` in a program in C (`c/main.c`), alone and together with a
//! process in Rust. Where the tools are there, the program is built with musl besides.
#![cfg(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64",
    not(any(miri, pysync_loom, pysync_shuttle))
))]

use std::env;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use pysync_robust::{
    Error, Kind, Memory, Ownership, Part, RawMutex, SIZE, Segment, State, Timeout,
};
use pysync_testing::{wait_until, watchdog};

/// How often each process counts.
const TIMES: i64 = 100_000;

/// Which C library a program is linked with.
#[derive(Clone, Copy, PartialEq)]
enum Library {
    /// That of this test, so that they can share a mutex.
    Ours,
    Musl,
}

/// The program, built once for all tests.
fn program(library: Library) -> &'static Path {
    static OURS: OnceLock<PathBuf> = OnceLock::new();
    static MUSL: OnceLock<PathBuf> = OnceLock::new();
    match library {
        Library::Ours => OURS.get_or_init(|| build(cfg!(target_env = "musl"))),
        Library::Musl => MUSL.get_or_init(|| build(true)),
    }
}

fn build(with_musl: bool) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Each library has its own, since tests of both may be built at the same time.
    let name = if with_musl { "static-musl" } else { "static" };
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(package)
        .args(["rustc", "--lib", "--features", "capi", "--crate-type", "staticlib", "--release"])
        .arg("--target-dir")
        .arg(&target);
    let mut built = target.clone();
    if with_musl {
        command.args(["--target", &musl_triple()]);
        built.push(musl_triple());
    }
    succeed(&mut command);

    let program = target.join("robust-test");
    let mut compiler = if with_musl {
        let mut compiler = Command::new("musl-gcc");
        compiler.arg("-static");
        compiler
    } else {
        Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()))
    };
    compiler
        .args(["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg("-I")
        .arg(package.join("include"))
        .arg(package.join("tests/c/main.c"))
        .arg(built.join("release/libpysync_robust.a"))
        .args(["-lpthread", "-ldl", "-lm"]);
    if let Some(libraries) = musl_libraries().filter(|_| with_musl) {
        // The unwinder that comes with Rust's std: that of a compiler for glibc wants glibc.
        compiler.arg("-L").arg(libraries.join("self-contained")).arg("-lunwind");
    }
    succeed(&mut compiler);
    program
}

fn musl_triple() -> String {
    format!("{}-unknown-linux-musl", env::consts::ARCH)
}

/// Where std for musl is, if it is installed.
fn musl_libraries() -> Option<PathBuf> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let output = rustc.args(["--print", "target-libdir", "--target", &musl_triple()]).output();
    let path = PathBuf::from(String::from_utf8(output.ok()?.stdout).ok()?.trim_end());
    path.is_dir().then_some(path)
}

/// Whether programs can be linked with musl here. If not, says why.
fn has_musl() -> bool {
    if !runs(Command::new("musl-gcc").arg("--version")) {
        println!("skipped: there is no musl-gcc");
        return false;
    }
    if musl_libraries().is_none() {
        println!("skipped: there is no std for {}", musl_triple());
        return false;
    }
    true
}

/// Whether there is a C compiler for the library of this test. If not, says why.
fn can_build() -> bool {
    !cfg!(target_env = "musl") || has_musl()
}

fn runs(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
}

/// Runs a part of the program that needs no other process.
fn passes(part: &str) {
    for library in [Library::Ours, Library::Musl] {
        let is_there = match library {
            Library::Ours => can_build(),
            Library::Musl => cfg!(target_env = "gnu") && has_musl(),
        };
        if is_there {
            let program = program(library);
            let _watchdog = watchdog();
            succeed(Command::new(program).arg(part));
        }
    }
}

/// What `struct shared` of the program is, in memory for this process and for those that get its
/// descriptor.
struct Shared {
    part: Part,
    fd: OwnedFd,
}

impl Shared {
    const COUNT: usize = 0;
    const FIRST: usize = 1;
    const SECOND: usize = 2;
    const LEN: usize = SIZE + 3 * 8;

    fn new() -> Self {
        let segment = Segment::new(Self::LEN).unwrap();
        // SAFETY: all who get it use it as the header says.
        let fd = unsafe { segment.fd() }.expect("it is a memfd").as_raw_fd();
        // A duplicate stays open in programs that are started.
        // SAFETY: the descriptor is open.
        let fd = unsafe { libc::dup(fd) };
        assert_ne!(fd, -1, "{}", std::io::Error::last_os_error());
        Self {
            part: segment.part(0, Self::LEN).unwrap(),
            // SAFETY: a new descriptor.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
        }
    }

    fn mutex(&self) -> RawMutex {
        // SAFETY: the part is mapped for as long as this lives, and by contract of the tests all that
        // acquire the mutex release it or die.
        unsafe { RawMutex::at(self.part.bytes().cast().as_ptr()) }.unwrap()
    }

    /// A number behind the mutex, for its owner.
    fn number(&self, index: usize) -> *mut i64 {
        // SAFETY: within the part.
        unsafe { self.part.bytes().cast::<i64>().as_ptr().add(SIZE / 8 + index) }
    }

    fn get(&self, index: usize) -> i64 {
        // SAFETY: its owner calls this, or no other user is left.
        unsafe { self.number(index).read_volatile() }
    }

    fn add(&self, index: usize, by: i64) {
        // SAFETY: the owner calls this.
        unsafe { self.number(index).write_volatile(self.get(index) + by) };
    }

    /// The program, which does `part` with this memory.
    fn command(&self, library: Library, part: &str) -> Command {
        let mut command = Command::new(program(library));
        command.arg(part).arg(self.fd.as_raw_fd().to_string());
        command
    }

    fn start(&self, part: &str) -> Child {
        self.command(Library::Ours, part).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Starts an owner in C; returns when it holds the mutex.
    fn start_owner(&self) -> Child {
        let mut owner = self.start("hold");
        let mut line = String::new();
        BufReader::new(owner.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        owner
    }
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn ends_well(mut child: Child) {
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
}

/// Whether a process sleeps, as a waiter does at last.
fn is_asleep(child: &Child) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()));
    stat.is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" S")))
}

#[test]
fn each_misuse_has_its_errno_and_its_sentence() {
    passes("misuse");
}

#[test]
fn an_owner_may_acquire_a_recursive_mutex_again() {
    passes("recursion");
}

#[test]
fn the_death_of_a_thread_is_told_and_can_be_repaired_or_not() {
    passes("deaths");
}

#[test]
fn a_timeout_is_in_nanoseconds() {
    passes("timeouts");
}

#[test]
fn threads_count_together() {
    passes("threads");
}

#[test]
fn a_child_of_fork_holds_nothing_of_its_parents() {
    passes("forks");
}

#[test]
fn c_and_rust_count_together() {
    if !can_build() {
        return;
    }
    let shared = Shared::new();
    let program = program(Library::Ours);
    let _watchdog = watchdog();
    let counters = [(); 2].map(|()| {
        let mut command = Command::new(program);
        command.arg("count").arg(shared.fd.as_raw_fd().to_string()).arg(TIMES.to_string());
        command.spawn().unwrap()
    });
    // The process that comes first makes it.
    let mutex = shared.mutex();
    mutex.open(Kind::Plain, Timeout::Never).unwrap();
    for _ in 0..TIMES {
        assert_eq!(mutex.acquire(Timeout::Never), Ok(Ownership::Clean));
        shared.add(Shared::COUNT, 1);
        mutex.release().unwrap();
    }
    counters.into_iter().for_each(ends_well);
    assert_eq!(shared.get(Shared::COUNT), 3 * TIMES);
}

#[test]
fn rust_repairs_what_an_owner_in_c_has_left() {
    if !can_build() {
        return;
    }
    let shared = Shared::new();
    program(Library::Ours);
    let _watchdog = watchdog();
    let mutex = shared.mutex();
    mutex.initialize(Kind::Plain).unwrap();
    let owner = shared.start_owner();
    assert_eq!(mutex.state(), Ok(State::Held { owner: owner.id(), inconsistent: false }));
    assert_eq!(mutex.acquire(Timeout::Try), Err(Error::Busy));
    kill(owner);
    assert_eq!(mutex.acquire(Timeout::Never), Ok(Ownership::OwnerDied));
    assert_eq!([Shared::FIRST, Shared::SECOND].map(|index| shared.get(index)), [1, 0]);
    shared.add(Shared::SECOND, 1);
    mutex.make_consistent().unwrap();
    mutex.release().unwrap();
    assert_eq!(mutex.state(), Ok(State::Free));
}

#[test]
fn c_repairs_what_an_owner_in_rust_has_left() {
    if !can_build() {
        return;
    }
    let shared = Shared::new();
    program(Library::Ours);
    let _watchdog = watchdog();
    let mutex = shared.mutex();
    mutex.initialize(Kind::Plain).unwrap();
    let ready = Segment::new(4).unwrap().part(0, 4).unwrap();
    // SAFETY: zeroes, in a part that lives longer.
    let ready: &AtomicU32 = unsafe { ready.bytes().cast().as_ref() };

    // SAFETY: the child only acquires the mutex and stops.
    let owner = unsafe { libc::fork() };
    assert_ne!(owner, -1);
    if owner == 0 {
        if mutex.acquire(Timeout::Never) == Ok(Ownership::Clean) {
            shared.add(Shared::FIRST, 1);
            ready.store(1, Ordering::Release);
        }
        // SAFETY: waits for the end; the alarm is for a test that has failed.
        unsafe {
            libc::alarm(60);
            loop {
                libc::pause();
            }
        }
    }
    wait_until(|| ready.load(Ordering::Acquire) == 1);
    let waiter = shared.start("repair");
    wait_until(|| is_asleep(&waiter));
    // SAFETY: a child that was not waited for.
    unsafe {
        libc::kill(owner, libc::SIGKILL);
        libc::waitpid(owner, std::ptr::null_mut(), 0);
    }
    ends_well(waiter);
    assert_eq!(mutex.acquire(Timeout::Never), Ok(Ownership::Clean));
    assert_eq!([Shared::FIRST, Shared::SECOND].map(|index| shared.get(index)), [1, 1]);
    mutex.release().unwrap();
}

#[test]
fn c_repairs_what_an_owner_in_c_has_left() {
    if !can_build() {
        return;
    }
    let shared = Shared::new();
    program(Library::Ours);
    let _watchdog = watchdog();
    let owner = shared.start_owner();
    let waiter = shared.start("repair");
    wait_until(|| is_asleep(&waiter));
    kill(owner);
    ends_well(waiter);
    assert_eq!([Shared::FIRST, Shared::SECOND].map(|index| shared.get(index)), [1, 1]);
}

#[test]
fn a_program_with_another_c_library_is_refused() {
    if cfg!(target_env = "musl") || !has_musl() {
        return;
    }
    let shared = Shared::new();
    program(Library::Musl);
    let _watchdog = watchdog();
    let mutex = shared.mutex();
    mutex.initialize(Kind::Plain).unwrap();
    succeed(&mut shared.command(Library::Musl, "foreign"));
    // Nothing has happened to it.
    assert_eq!(mutex.acquire(Timeout::Try), Ok(Ownership::Clean));
    mutex.release().unwrap();
}

#[test]
fn the_header_is_for_cpp_too() {
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    if !runs(Command::new(&compiler).arg("--version")) {
        println!("skipped: there is no compiler for C++");
        return;
    }
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/pysync_robust.h");
    let flags =
        ["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-x", "c++"];
    succeed(Command::new(compiler).args(flags).arg(header));
}
