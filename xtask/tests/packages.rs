//! What a published crate carries: the licences as the root has them, and a README whose example is
//! one that its documentation tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

struct Package {
    name: String,
    folder: PathBuf,
    licence: String,
    published: bool,
}

fn packages() -> Vec<Package> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let package = |package: &Value| Package {
        name: text(&package["name"]),
        folder: Path::new(&text(&package["manifest_path"])).parent().unwrap().to_owned(),
        licence: text(&package["license"]),
        // An empty list of registries is `publish = false`.
        published: package["publish"] != serde_json::json!([]),
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

#[test]
fn the_licences_of_each_crate_are_the_roots() {
    let mut checked = 0;
    for package in packages() {
        let mirrors = package.licence.contains("PSF-2.0");
        if !package.published && !mirrors {
            continue;
        }
        let mut files = vec!["LICENSE-MIT", "LICENSE-APACHE"];
        if mirrors {
            files.extend(["LICENSE-PSF", "NOTICE"]);
        }
        for file in files {
            let copy = package.folder.join(file);
            assert!(read(&copy) == read(&root().join(file)), "{}: not the root's", copy.display());
        }
        checked += 1;
    }
    assert!(checked >= 6, "{checked} crates");
}

/// The code of the examples in `text`, without the lines that a reader does not see.
fn examples(text: &str) -> Vec<String> {
    let mut examples = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block = lines.by_ref().take_while(|line| *line != "```");
            let seen = block.filter(|line| *line != "#" && !line.starts_with("# "));
            let example = seen.collect::<Vec<_>>().join("\n");
            if matches!(language, "" | "rust") {
                examples.push(example);
            }
        }
    }
    examples
}

/// The doc comments of all of a crate's sources, each line without its mark.
fn documentation(folder: &Path) -> String {
    let mut text = String::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                for line in read(&path).lines() {
                    let line = line.trim_start();
                    let doc = line.strip_prefix("//!").or_else(|| line.strip_prefix("///"));
                    if let Some(doc) = doc {
                        text.push_str(doc.strip_prefix(' ').unwrap_or(doc));
                        text.push('\n');
                    }
                }
            }
        }
    }
    text
}

#[test]
fn the_example_of_each_readme_is_one_of_the_documentation() {
    for package in packages().iter().filter(|package| package.published) {
        let readme = examples(&read(&package.folder.join("README.md")));
        assert!(!readme.is_empty(), "{}: a README without an example", package.name);
        let documented = examples(&documentation(&package.folder.join("src")));
        for example in readme {
            assert!(
                documented.contains(&example),
                "{}: this example of its README is none of its documentation:\n{example}",
                package.name
            );
        }
    }
}

#[test]
fn keywords_are_a_crates_own_and_few() {
    for package in packages().iter().filter(|package| package.published) {
        let manifest: toml::Table = read(&package.folder.join("Cargo.toml")).parse().unwrap();
        let keywords = manifest["package"]["keywords"].as_array();
        let keywords =
            keywords.unwrap_or_else(|| panic!("{}: no keywords of its own", package.name));
        assert!((1..=5).contains(&keywords.len()), "{}: {keywords:?}", package.name);
        assert!(keywords.iter().all(|keyword| keyword.as_str().unwrap().len() <= 20));
    }
}
