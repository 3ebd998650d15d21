//! An object that lies in a file: threads share and change it, and its end writes it out, on the finalizer's
//! thread and not on that of the last user.
//!
//! ```sh
//! cargo run --package pysync-reclaim --example file_backed
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use pysync_lock::guarded::Mutex;
use pysync_reclaim::{Deadline, Finalize, Finalized, Finalizer, Shared};

/// What is written out: all that the end of the object needs.
struct Pages {
    path: PathBuf,
    lines: Mutex<Vec<String>>,
}

impl Finalize for Pages {
    fn finalize(self) {
        let text = self.lines.into_inner().join("\n") + "\n";
        // A failure is a panic here, which the finalizer reports. It goes on with the next object.
        fs::write(&self.path, text)
            .unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
    }
}

/// A notebook: a handle to the pages. With the last one they are written out.
#[derive(Clone)]
struct Notebook(Shared<Finalized<Pages>>);

impl Notebook {
    fn open(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let lines = Mutex::new(text.lines().map(str::to_owned).collect());
        Ok(Self(Shared::new(Finalized::new(Pages { path: path.to_owned(), lines }))))
    }

    fn write(&self, line: String) {
        self.0.lines.lock().push(line);
    }
}

fn main() -> io::Result<()> {
    Finalizer::global().on_panic(|panic| {
        eprintln!("not written: {}", panic.message().unwrap_or("no message"));
    });

    let folder = std::env::temp_dir().join(format!("pysync-file-backed-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let path = folder.join("notes.txt");
    for day in 1..=2 {
        let notebook = Notebook::open(&path)?;
        let writers: Vec<_> = (1..=4)
            .map(|writer| {
                let notebook = notebook.clone();
                thread::spawn(move || notebook.write(format!("day {day}, writer {writer}")))
            })
            .collect();
        for writer in writers {
            writer.join().expect("a writer has panicked");
        }
        drop(notebook);
        // Before the file is read again, and before the program ends.
        let drained = Finalizer::global().drain(Deadline::after(Some(Duration::from_secs(10))));
        assert_eq!(drained.left, 0, "the disk is slow");
    }
    let text = fs::read_to_string(&path)?;
    assert_eq!(text.lines().count(), 8);
    print!("{text}");

    // One whose folder is gone when it ends: the panic is reported, and the program goes on.
    let lost = Notebook::open(&path)?;
    fs::remove_dir_all(&folder)?;
    drop(lost);
    Finalizer::global().drain(Deadline::NEVER);
    Ok(())
}
