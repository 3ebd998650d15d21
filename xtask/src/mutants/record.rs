//! Which packages stand as they stood when all their mutants were killed.
//!
//! `ci/mutants.verified` has for each a hash of its mutants, of its files, and of the files of all packages
//! of the workspace that it stands on, for tests too. So a change to any of these runs them again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::{List, Mutant};
use crate::workspace::{Workspace, write_whole};

const RECORD: &str = "ci/mutants.verified";

/// A hash for each package.
pub(super) type Hashes = BTreeMap<String, String>;

/// Those of `now` that are as they are recorded.
pub(super) fn unchanged(workspace: &Workspace, now: &Hashes) -> Result<BTreeSet<String>> {
    let record = recorded(workspace)?;
    let is_recorded = |package: &&String| record.get(*package) == now.get(*package);
    Ok(now.keys().filter(is_recorded).cloned().collect())
}

/// Records the packages all of whose mutants were `killed`, as they were before the run.
pub(super) fn add(
    workspace: &Workspace,
    list: &List,
    before: Hashes,
    killed: impl Fn(&Mutant) -> bool,
) -> Result<()> {
    let mut record = recorded(workspace)?;
    for (package, hash) in before {
        let of_package = |mutant: &&Mutant| mutant.killed_by.package == package;
        if list.mutant.iter().filter(of_package).all(&killed) {
            record.insert(package, hash);
        }
    }
    write_whole(&workspace.path(RECORD), &toml::to_string(&record)?)
}

fn recorded(workspace: &Workspace) -> Result<Hashes> {
    if !workspace.path(RECORD).exists() {
        return Ok(Hashes::new());
    }
    toml::from_str(&workspace.read(RECORD)?).context(RECORD)
}

/// For each package with mutants, a hash of its mutants, of the files of the package, and of those of
/// the packages of the workspace that it stands on, for tests too.
pub(super) fn hashes(workspace: &Workspace, list: &List) -> Result<Hashes> {
    let metadata = Command::new("cargo")
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(workspace.root())
        .output()
        .context("cargo metadata")?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&metadata.stdout).context("cargo metadata")?;
    // The folder of each package, and what it names as dependencies.
    let mut packages: BTreeMap<&str, (PathBuf, Vec<&str>)> = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let text = |value: &'_ serde_json::Value| value.as_str().map(str::to_owned);
        let (Some(name), Some(manifest)) =
            (package["name"].as_str(), text(&package["manifest_path"]))
        else {
            continue;
        };
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let dependencies = dependencies.filter_map(|dependency| dependency["name"].as_str());
        let folder = Path::new(&manifest).parent().context("a manifest without a folder")?;
        packages.insert(name, (folder.to_owned(), dependencies.collect()));
    }

    let mut hashes = BTreeMap::new();
    for package in list.mutant.iter().map(|mutant| &mutant.killed_by.package) {
        if hashes.contains_key(package) {
            continue;
        }
        let mut hash = Sha256::new();
        for mutant in list.mutant.iter().filter(|mutant| mutant.killed_by.package == *package) {
            hash.update(format!("{mutant:?}"));
        }
        hash.update(workspace.read("rust-toolchain.toml")?);
        let mut needed = BTreeSet::from([package.as_str()]);
        let mut found = vec![package.as_str()];
        while let Some(name) = found.pop() {
            let dependencies = packages.get(name).map_or(&[][..], |(_, dependencies)| dependencies);
            for dependency in dependencies {
                if packages.contains_key(dependency) && needed.insert(dependency) {
                    found.push(dependency);
                }
            }
        }
        for name in needed {
            let (folder, _) = packages.get(name).with_context(|| format!("no package {name}"))?;
            for file in files(workspace, folder)? {
                hash.update(&file);
                // Listed by git but deleted in the work tree.
                hash.update(fs::read(workspace.path(&file)).unwrap_or_default());
            }
        }
        let hash = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        hashes.insert(package.clone(), hash);
    }
    Ok(hashes)
}

/// The files in a folder that git knows, or would add.
fn files(workspace: &Workspace, folder: &Path) -> Result<Vec<String>> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .arg("--")
        .arg(folder)
        .current_dir(workspace.root())
        .output()
        .context("git ls-files: is this a git checkout?")?;
    let listed = String::from_utf8(listed.stdout).context("git ls-files")?;
    let mut files: Vec<String> =
        listed.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect();
    files.sort();
    Ok(files)
}
