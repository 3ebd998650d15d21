//! A look at a mutex in a file: in `/dev/shm/NAME`, `/proc/PID/fd/N`, or on a disk. Only reads.
//!
//! `cargo run -p pysync-robust --example inspect -- FILE [--offset N]`

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pysync_robust::{ALIGN, Header, Kind, Lock, Report, SIZE, State, inspect};

const USAGE: &str = "\
Usage: inspect FILE [--offset N]

Prints what the robust mutex is that begins N bytes after the start of FILE (default: 0), in decimal, or in
hexadecimal after 0x. FILE is memory that processes share, /dev/shm/NAME or /proc/PID/fd/N say. Changes
nothing, and takes no part in the locking: the answer is from the moment at which FILE was read.

Exit code: 0 looked, 2 could not.
";

fn main() -> ExitCode {
    let text = match arguments(std::env::args_os().skip(1)) {
        Ok(Some((file, offset))) => look(&file, offset),
        Ok(None) => Ok(USAGE.to_owned()),
        Err(problem) => Err(format!("{problem}; try --help")),
    };
    match text {
        Ok(text) => {
            // The reader of a pipe may be gone.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            let _ = writeln!(io::stderr(), "inspect: {problem}");
            ExitCode::from(2)
        }
    }
}

/// The file and the offset; `None` if the user wants help.
fn arguments(
    mut arguments: impl Iterator<Item = OsString>,
) -> Result<Option<(PathBuf, u64)>, String> {
    let (mut file, mut offset) = (None, None);
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        if text == "--help" || text == "-h" {
            return Ok(None);
        } else if text == "--offset" {
            let value = arguments.next().ok_or("--offset: give a number after it")?;
            offset = Some(number(&value.to_string_lossy())?);
        } else if let Some(value) = text.strip_prefix("--offset=") {
            offset = Some(number(value)?);
        } else if text.starts_with('-') {
            return Err(format!("{text}: no such option"));
        } else if file.replace(PathBuf::from(&argument)).is_some() {
            return Err(format!("{}: give one FILE only", argument.to_string_lossy()));
        }
    }
    let file = file.ok_or("give the FILE that the mutex is in")?;
    Ok(Some((file, offset.unwrap_or(0))))
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let offset = parsed
        .map_err(|_| format!("--offset {text}: give a number of bytes, such as 4096 or 0x1000"))?;
    if offset % ALIGN as u64 != 0 {
        return Err(format!("--offset {text}: give a multiple of {ALIGN}, as a mutex is aligned"));
    }
    Ok(offset)
}

fn look(path: &Path, offset: u64) -> Result<String, String> {
    let bytes = read(path, offset).map_err(|problem| format!("{}: {problem}", path.display()))?;
    Ok(render(&inspect(&bytes)))
}

fn read(path: &Path, offset: u64) -> Result<[u8; SIZE], String> {
    let mut file = open(path).map_err(|error| format!("{error}; give a file that you may read"))?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("not a file with bytes; give what the processes map".to_owned());
    }
    let (len, end) = (metadata.len(), offset.saturating_add(SIZE as u64));
    if end > len {
        return Err(format!(
            "ends after {len} bytes, and a mutex at offset {offset} ends at {end}; \
             give the --offset at which it begins"
        ));
    }
    let mut bytes = [0; SIZE];
    let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut bytes));
    read.map_err(|error| format!("{error}; give a file that can be read"))?;
    Ok(bytes)
}

/// Opens a file to read it. To open a pipe would wait for a writer.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.open(path)
}

fn render(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("state", state(report));
    if let Some(pid) = report.initializer {
        line("initialiser", format!("process {pid} {}", living(pid)));
    }
    let Some(header) = &report.header else { return text };
    if let Some(lock) = &header.lock {
        line("owner", owner(lock, header));
        let kind = match lock.kind {
            Kind::Plain => "plain".to_owned(),
            Kind::Recursive => format!("recursive, acquired {} times beyond the first", lock.depth),
        };
        line("kind", kind);
        line("data", data(lock.is_inconsistent || lock.owner_died).to_owned());
        line(
            "waiters",
            if lock.has_waiters { "threads sleep, or have slept" } else { "none" }.into(),
        );
    }
    let identity = match header.data {
        0 => "none".to_owned(),
        data => format!("{data:#018x}"),
    };
    line("data id", identity);
    line("layout", format!("{:#010x}, {}", header.layout, own(header.is_own_layout, "program")));
    line("version", header.version.to_string());
    let namespace = format!("{}, {}", header.namespace, own(header.is_own_namespace, "process"));
    line("namespace", namespace);
    let boot = if header.is_own_boot { "this boot" } else { "an earlier boot" };
    line("boot", format!("{:#018x}, {boot}", header.boot));
    line("header", if header.is_sound { "sound" } else { "damaged" }.to_owned());
    text
}

fn state(report: &Report) -> String {
    match report.state {
        Ok(State::Uninitialized) => match &report.header {
            Some(header) if !header.is_own_boot => {
                "uninitialised: it is from an earlier boot".into()
            }
            _ => "uninitialised".into(),
        },
        Ok(State::Initializing) => "initialising".into(),
        Ok(State::Free) => "free".into(),
        Ok(State::Held { .. }) => "held".into(),
        Ok(State::OwnerDied) => "owner died: the next owner is told".into(),
        Ok(State::NotRecoverable) => "not recoverable: an owner has given up the data".into(),
        Ok(State::Destroyed) => "destroyed".into(),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("not usable here: {error}"),
    }
}

fn data(is_inconsistent: bool) -> &'static str {
    if is_inconsistent { "inconsistent: an owner has died" } else { "consistent" }
}

fn own(is_own: bool, whose: &str) -> String {
    if is_own { format!("this {whose}'s") } else { format!("not this {whose}'s") }
}

fn owner(lock: &Lock, header: &Header) -> String {
    match lock.owner {
        0 => "none".to_owned(),
        id if !header.is_own_boot => format!("thread {id} of an earlier boot"),
        id if !header.is_own_namespace => format!("thread {id} of its pid namespace"),
        id => format!("thread {id} {}", living(id)),
    }
}

/// Whether a thread or process lives, and the name of its command.
fn living(id: u32) -> String {
    let dead = "(dead)".to_owned();
    let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else { return dead };
    // The name is in parentheses, and may have parentheses in it.
    let Some((name, state)) = stat.rsplit_once(')') else { return dead };
    if state.starts_with(" Z") || state.starts_with(" X") {
        return dead;
    }
    let name = name.split_once('(').map_or("", |(_, name)| name);
    format!("(alive: {})", name.escape_debug())
}
