//! A look at a mutex from outside: what `inspect` tells of bytes, and what the example of that name
//! prints of a file.
#![cfg(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64",
    not(any(miri, pysync_loom, pysync_shuttle))
))]

mod common;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use pysync_robust::{
    Error, Header, Kind, Lock, Memory, Ownership, RawMutex, SIZE, Segment, Shared, State, Timeout,
    inspect,
};
use pysync_testing::watchdog;

use common::*;

/// The example, built once for all tests.
fn example() -> &'static Path {
    static EXAMPLE: OnceLock<PathBuf> = OnceLock::new();
    EXAMPLE.get_or_init(|| {
        let triple = format!("{}-unknown-linux-musl", env::consts::ARCH);
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example");
        let mut command = Command::new(cargo);
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.args(["build", "--example", "inspect", "--target-dir"]).arg(&target);
        // The layout is that of the C library, which is to be the same.
        if cfg!(target_env = "musl") {
            command.args(["--target", &triple]);
            target.push(triple);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        target.join("debug/examples/inspect")
    })
}

fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    let example = example();
    let _watchdog = watchdog();
    Command::new(example).args(arguments).output().unwrap()
}

/// A file in a folder for temporary files, which is removed at the end.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(content: &[u8]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (pid, count) = (std::process::id(), COUNT.fetch_add(1, SeqCst));
        let path = env::temp_dir().join(format!("pysync-robust-inspect-{pid}-{count}"));
        fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What the example prints of these bytes, by the names of the lines. They stay as they are.
struct Printed(Vec<(String, String)>);

impl Printed {
    fn of(bytes: Bytes) -> Self {
        let image = bytes.read();
        let file = TemporaryFile::new(&image);
        let printed = Self::by([file.0.as_os_str()]);
        assert_eq!(fs::read(&file.0).unwrap(), image, "the file has changed");
        printed
    }

    fn by<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let output = run(arguments);
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(output.status.success() && err.is_empty(), "{err}");
        let line = |line: &str| {
            let (name, value) = line.split_at(13);
            (name.trim_end().to_owned(), value.to_owned())
        };
        Self(out.lines().map(line).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Panics unless these lines begin so.
    fn has<const N: usize>(&self, lines: [(&str, &str); N]) {
        for (name, start) in lines {
            let line = self.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.0));
            assert!(line.starts_with(start), "{name}: {line}");
        }
    }
}

/// What `inspect` tells of the bytes, which is what the mutex tells of itself.
fn report(bytes: Bytes) -> pysync_robust::Report {
    let report = inspect(&bytes.read());
    assert_eq!(report.state, bytes.mutex().state());
    report
}

fn header(bytes: Bytes) -> Header {
    report(bytes).header.expect("there is one")
}

fn lock(bytes: Bytes) -> Lock {
    header(bytes).lock.expect("it is of this layout")
}

fn ready(kind: Kind) -> (Bytes, RawMutex) {
    let bytes = Bytes::zeroed();
    let mutex = bytes.mutex();
    mutex.initialize(kind).unwrap();
    (bytes, mutex)
}

#[test]
fn zeroes_and_garbage_are_no_mutex() {
    let _watchdog = watchdog();
    let bytes = Bytes::zeroed();
    let mut random = Random::new(14);
    for _ in 0..1000 {
        let report = report(bytes);
        assert_eq!(
            (report.state, report.header, report.initializer),
            (Ok(State::Uninitialized), None, None)
        );
        bytes.write(random.bytes());
    }
    assert_eq!(Printed::of(bytes).0, [("state".into(), "uninitialised".into())]);
}

#[test]
fn a_free_mutex_says_where_it_is_from() {
    let _watchdog = watchdog();
    let (bytes, _) = ready(Kind::Plain);
    let header = header(bytes);
    assert!(header.is_own_layout && header.is_sound);
    assert!(header.is_own_namespace && header.is_own_boot);
    assert_eq!((header.version, header.data), (1, 0));
    assert_eq!(header.layout, bytes.u32(LAYOUT).load(SeqCst));
    assert_eq!(header.namespace, bytes.u64(NAMESPACE).load(SeqCst));
    assert_eq!(header.boot, bytes.u64(BOOT).load(SeqCst));
    let lock = header.lock.unwrap();
    assert_eq!((lock.kind, lock.owner, lock.depth), (Kind::Plain, 0, 0));
    assert!(!lock.owner_died && !lock.is_inconsistent && !lock.has_waiters);

    Printed::of(bytes).has([
        ("state", "free"),
        ("owner", "none"),
        ("kind", "plain"),
        ("data", "consistent"),
        ("waiters", "none"),
        ("data id", "none"),
        ("layout", &format!("{:#010x}, this program's", header.layout)),
        ("version", "1"),
        ("namespace", &format!("{}, this process's", header.namespace)),
        ("boot", &format!("{:#018x}, this boot", header.boot)),
        ("header", "sound"),
    ]);
}

#[test]
fn an_owner_that_lives_is_named() {
    let _watchdog = watchdog();
    let (bytes, mutex) = ready(Kind::Recursive);
    let owner = Actor::new();
    owner.run(move || (0..3).for_each(|_| take(mutex)));
    let waiter = Actor::new();
    let waited = waiter.start_to_sleep(move || mutex.acquire(Timeout::Never));
    let held = lock(bytes);
    assert_eq!((held.kind, held.owner, held.depth), (Kind::Recursive, owner.id(), 2));
    assert!(held.has_waiters && !held.owner_died && !held.is_inconsistent);
    let command = fs::read_to_string(format!("/proc/self/task/{}/comm", owner.id())).unwrap();
    Printed::of(bytes).has([
        ("state", "held"),
        ("owner", &format!("thread {} (alive: {})", owner.id(), command.trim_end())),
        ("kind", "recursive, acquired 2 times beyond the first"),
        ("waiters", "threads sleep"),
    ]);
    owner.run(move || (0..3).for_each(|_| mutex.release().unwrap()));
    assert_eq!(waited.recv().unwrap(), Ok(Ownership::Clean));
}

#[test]
fn an_owner_that_is_gone_is_dead() {
    let _watchdog = watchdog();
    let (bytes, mutex) = ready(Kind::Plain);
    let owner = Actor::new();
    let id = owner.id();
    owner.run(move || take(mutex));
    // As if the kernel had not marked it: the copy is from the moment before.
    let image = bytes.read();
    owner.die();
    assert_eq!(lock(bytes), {
        let mut lock = inspect(&image).header.unwrap().lock.unwrap();
        assert_eq!((lock.owner, lock.owner_died), (id, false));
        (lock.owner, lock.owner_died) = (bytes.u32(WORD).load(SeqCst) & 0x3fff_ffff, true);
        lock
    });
    Printed::of(bytes).has([("state", "owner died"), ("data", "inconsistent")]);
    bytes.write(image);
    Printed::of(bytes).has([("state", "held"), ("owner", &format!("thread {id} (dead)"))]);
}

#[test]
fn the_death_of_an_owner_is_told_until_the_data_is_repaired_or_given_up() {
    let _watchdog = watchdog();
    let (bytes, mutex) = ready(Kind::Plain);
    in_a_short_life(move || take(mutex));
    assert_eq!(mutex.acquire(Timeout::Try), Ok(Ownership::OwnerDied));
    assert!(lock(bytes).is_inconsistent);
    Printed::of(bytes).has([("state", "held"), ("data", "inconsistent: an owner has died")]);
    mutex.make_consistent().unwrap();
    assert!(!lock(bytes).is_inconsistent);
    mutex.release().unwrap();

    in_a_short_life(move || take(mutex));
    assert_eq!(mutex.acquire(Timeout::Try), Ok(Ownership::OwnerDied));
    mutex.give_up().unwrap();
    assert_eq!(report(bytes).state, Ok(State::NotRecoverable));
    Printed::of(bytes).has([("state", "not recoverable"), ("owner", "none")]);

    mutex.destroy().unwrap();
    assert_eq!(report(bytes).state, Ok(State::Destroyed));
    Printed::of(bytes).has([("state", "destroyed"), ("owner", "none")]);
}

#[test]
fn a_mutex_from_before_a_reboot_is_none_and_its_owner_is_no_thread_of_today() {
    let _watchdog = watchdog();
    let (bytes, mutex) = ready(Kind::Plain);
    take(mutex);
    bytes.u64(BOOT).fetch_add(1, SeqCst);
    bytes.seal();
    assert_eq!(report(bytes).state, Ok(State::Uninitialized));
    assert!(!header(bytes).is_own_boot && header(bytes).is_sound);
    // SAFETY: only asks.
    let me = unsafe { libc::gettid() };
    Printed::of(bytes).has([
        ("state", "uninitialised: it is from an earlier boot"),
        ("owner", &format!("thread {me} of an earlier boot")),
        ("header", "sound"),
    ]);
    bytes.u64(BOOT).fetch_sub(1, SeqCst);
    bytes.seal();
    mutex.release().unwrap();
}

#[test]
fn a_mutex_of_others_is_described_as_far_as_it_can_be_read() {
    let _watchdog = watchdog();
    let (bytes, _) = ready(Kind::Plain);
    let image = bytes.read();

    bytes.u64(NAMESPACE).fetch_add(1, SeqCst);
    bytes.u32(WORD).store(1, SeqCst);
    bytes.seal();
    assert_eq!(report(bytes).state, Err(Error::Namespace));
    let printed = Printed::of(bytes);
    printed.has([("state", "not usable here: "), ("owner", "thread 1 of its pid namespace")]);
    assert!(printed.get("namespace").unwrap().ends_with(", not this process's"));

    // Another C library, whose mutex is not to be read.
    bytes.write(image);
    bytes.u32(LAYOUT).fetch_xor(1, SeqCst);
    bytes.u64(STATE).fetch_xor(1, SeqCst);
    bytes.seal();
    assert!(matches!(report(bytes).state, Err(Error::Layout { .. })));
    assert!(header(bytes).lock.is_none() && header(bytes).is_sound);
    let printed = Printed::of(bytes);
    printed.has([("state", "not usable here: "), ("version", "1"), ("header", "sound")]);
    assert!(printed.get("layout").unwrap().ends_with(", not this program's"));
    assert_eq!(printed.get("owner"), None);

    // A later version.
    bytes.write(image);
    bytes.u64(STATE).fetch_add(1 << 32, SeqCst);
    assert!(!header(bytes).is_own_layout);
    Printed::of(bytes).has([("state", "not usable here: "), ("version", "2")]);

    bytes.write(image);
    bytes.flip(8 * NAMESPACE);
    assert_eq!(report(bytes).state, Err(Error::Damaged));
    assert!(!header(bytes).is_sound);
    Printed::of(bytes).has([("state", "not usable here: "), ("header", "damaged")]);
}

#[test]
fn an_initialiser_is_named() {
    let _watchdog = watchdog();
    let initialiser = Initialiser::start(Kind::Plain);
    let bytes = initialiser.bytes();
    let found = report(bytes);
    assert_eq!((found.state, found.header), (Ok(State::Initializing), None));
    let pid = initialiser.claim() >> 42;
    assert_eq!(found.initializer.map(u64::from), Some(pid));
    Printed::of(bytes)
        .has([("state", "initialising"), ("initialiser", &format!("process {pid} (al"))]);

    // One in another pid namespace: its pid is another process's here.
    let (other, _) = ready(Kind::Plain);
    let boot = other.u64(BOOT).load(SeqCst);
    other.write([0; SIZE]);
    other.u64(CLAIM).store(initialiser.claim_but(boot, |named| named ^ 1 << 30), SeqCst);
    let found = report(other);
    assert_eq!((found.state, found.initializer), (Err(Error::Namespace), None));

    initialiser.kill();
    let found = report(bytes);
    assert_eq!((found.state, found.initializer), (Ok(State::Uninitialized), None));
}

/// Of all bits of a mutex, and of words that are picked to be bad.
#[test]
fn no_bytes_are_too_strange() {
    let _watchdog = watchdog();
    let (bytes, _) = ready(Kind::Recursive);
    for bit in 0..8 * SIZE {
        bytes.flip(bit);
        report(bytes);
        bytes.flip(bit);
    }
    let image = bytes.read();
    let mut random = Random::new(41);
    for _ in 0..10_000 {
        bytes.write(image);
        for _ in 0..random.below(6) {
            let at = 8 * random.below(SIZE / 8);
            bytes.u64(at).store(random.next(), SeqCst);
        }
        report(bytes);
    }
}

/// A mutex in memory that is in use, behind other data, and with data of its own behind it.
#[test]
fn memory_in_use_is_read_by_its_descriptor_and_left_alone() {
    let segment = Segment::new(3 * 4096).unwrap();
    let part = segment.part(4096, 4096).unwrap();
    let at = part.bytes().cast::<u8>().as_ptr();
    let (shared, _) = Shared::open(part, 7, [1_u64, 2, 3], Timeout::Never).unwrap();
    // SAFETY: the segment lives longer than these.
    let (bytes, fd) = unsafe { (Bytes::mapped(at), segment.fd().unwrap()) };
    let path = format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd());
    let held = shared.acquire(Timeout::Never).unwrap();
    // SAFETY: only asks.
    let me = unsafe { libc::gettid() };
    let image = bytes.read();
    for offset in [["--offset", "4096"], ["--offset", "0x1000"]] {
        let printed = Printed::by(offset.into_iter().chain([&*path]));
        printed.has([("state", "held"), ("owner", &format!("thread {me} (alive: "))]);
        let id = bytes.u64(DATA).load(SeqCst);
        assert_eq!(printed.get("data id"), Some(&*format!("{id:#018x}")));
    }
    Printed::by([&*path, "--offset=0"]).has([("state", "uninitialised")]);
    assert_eq!(bytes.read(), image);
    drop(held);
}

#[test]
fn bad_input_costs_one_line_and_exit_code_2() {
    let file = TemporaryFile::new(&[0; 200]);
    let pipe = TemporaryFile::new(&[]);
    fs::remove_file(&pipe.0).unwrap();
    let path = std::ffi::CString::new(pipe.0.to_str().unwrap()).unwrap();
    // SAFETY: a path that ends with a zero.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    let [file, pipe] = [&file, &pipe].map(|file| file.0.to_str().unwrap());
    let nowhere = format!("{file}-nowhere");
    for (arguments, said) in [
        (&[][..], "give the FILE"),
        (&["a", "b"], "b: give one FILE only"),
        (&[&nowhere], &*format!("{nowhere}: No such file")),
        (&["/"], "/: not a file with bytes"),
        (&[pipe], "not a file with bytes"),
        (&[file, "--offset"], "--offset: give a number"),
        (&[file, "--offset", "x"], "--offset x: give a number of bytes"),
        (&[file, "--offset=-8"], "--offset -8: give a number of bytes"),
        (&[file, "--offset", "0x"], "--offset 0x: give a number of bytes"),
        (&[file, "--offset", "4"], "--offset 4: give a multiple of 8"),
        (&[file, "--offset", "80"], "ends after 200 bytes, and a mutex at offset 80 ends at 208"),
        (&[file, "--offset", "18446744073709551608"], "ends after 200 bytes"),
        (&[file, "--verbose"], "--verbose: no such option"),
    ] {
        let output = run(arguments);
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {out}{err}");
        assert!(err.starts_with("inspect: ") && err.contains(said), "{arguments:?}: {err}");
        assert!(out.is_empty() && err.lines().count() == 1, "{out}{err}");
    }
    Printed::by([file, "--offset", "72"]).has([("state", "uninitialised")]);
}

#[test]
fn help_says_how() {
    let output = run(["--help"]);
    assert!(output.status.success() && output.stderr.is_empty());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("Usage: inspect FILE [--offset N]\n"), "{text}");
}
