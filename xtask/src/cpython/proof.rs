//! The proof of which locks are in which interpreter: by symbol table and line table.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::command::{output, say};
use super::graft::{self, OBJECTS};
use super::work::{Variant, Work};

/// Where our symbols come from.
const OURS: &str = "crates/capi/src/";

/// Fails unless every symbol is C's in the baseline and ours in the other, and nothing else of
/// the three C files is left there.
pub(crate) fn prove(work: &Work) -> Result<()> {
    let symbols = graft::symbols(work)?;
    for variant in Variant::BOTH {
        let python = work.python(variant);
        let table = output(Command::new("nm").arg("-a").arg(&python))?;

        // The names of the source files that the linker has seen.
        let c_files: Vec<String> = OBJECTS
            .iter()
            .map(|name| format!("{name}.c"))
            .filter(|file| table.lines().any(|line| line.ends_with(&format!(" a {file}"))))
            .collect();
        let addresses: BTreeMap<&str, &str> = table
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
                (kind.eq_ignore_ascii_case("t")).then_some((name, address))
            })
            .collect();
        let mut ours = 0;
        for (symbol, file) in origins(&python, &symbols, &addresses)? {
            let is_ours = file.contains(OURS);
            ours += usize::from(is_ours);
            let is_c = OBJECTS.iter().any(|name| file.contains(&format!("/Python/{name}.c:")));
            if is_ours == is_c || is_ours != (variant == Variant::Rust) {
                bail!("{}: {symbol} comes from {file}", python.display());
            }
        }
        if c_files.is_empty() != (variant == Variant::Rust) {
            bail!("{}: made of {}", python.display(), c_files.join(", "));
        }
        say(&format!(
            "{}: {} symbols, {ours} ours, {} C's; C files in it: {}",
            variant.name(),
            symbols.len(),
            symbols.len() - ours,
            if c_files.is_empty() { "none of the three".to_owned() } else { c_files.join(", ") },
        ));
    }
    Ok(())
}

/// The source file and line behind each symbol.
fn origins<'a>(
    python: &Path,
    symbols: &'a std::collections::BTreeSet<String>,
    addresses: &BTreeMap<&str, &str>,
) -> Result<Vec<(&'a str, String)>> {
    let mut command = Command::new("addr2line");
    command.args(["--addresses", "--inlines", "-e"]).arg(python);
    for symbol in symbols {
        let address = addresses
            .get(symbol.as_str())
            .with_context(|| format!("{}: has no {symbol}", python.display()))?;
        command.arg(address);
    }
    // For each address a line with it, then the lines of what is inlined there, innermost first.
    let mut files: Vec<String> = Vec::new();
    for line in output(&mut command)?.lines() {
        match files.last_mut() {
            Some(file) if !line.starts_with("0x") => *file = line.to_owned(),
            _ => files.push(String::new()),
        }
    }
    Ok(symbols.iter().map(String::as_str).zip(files).collect())
}
