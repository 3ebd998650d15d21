//! The crates stand on each other as docs/architecture.md says: its table of layers names each of
//! them, and for each the layers to which its arrows may lead.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A row of the table.
#[derive(Debug)]
struct Row {
    /// None for what stands outside of the layers.
    layer: Option<u32>,
    folder: String,
    may_use: MayUse,
}

#[derive(Debug, PartialEq)]
enum MayUse {
    All,
    Layers(BTreeSet<u32>),
}

impl MayUse {
    /// `–`, `all`, or numbers and ranges of them: `0, 1`, `0–2`.
    fn parse(cell: &str) -> Option<Self> {
        let mut layers = BTreeSet::new();
        match cell {
            "all" => return Some(Self::All),
            "–" => return Some(Self::Layers(layers)),
            _ => {}
        }
        for part in cell.split(',') {
            let (first, last) = part.split_once('–').unwrap_or((part, part));
            let (first, last) = (first.trim().parse::<u32>().ok()?, last.trim().parse().ok()?);
            layers.extend(first..=last);
        }
        Some(Self::Layers(layers))
    }

    fn allows(&self, layer: Option<u32>) -> bool {
        match self {
            Self::All => true,
            Self::Layers(layers) => layer.is_some_and(|layer| layers.contains(&layer)),
        }
    }
}

fn cells(line: &str) -> Option<Vec<&str>> {
    let line = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(line.split('|').map(|cell| cell.trim().trim_matches('`')).collect())
}

/// The rows of the first table, by crate.
fn table(text: &str) -> Result<BTreeMap<String, Row>, String> {
    let mut lines = text.lines().skip_while(|line| cells(line).is_none()).map_while(cells);
    let header = lines.next().ok_or("no table")?;
    let column = |name: &str| {
        let found = header.iter().position(|cell| *cell == name);
        found.ok_or_else(|| format!("the first table has no column {name:?}: {header:?}"))
    };
    let (layer, folder, name, may_use) =
        (column("layer")?, column("folder")?, column("crate")?, column("may use")?);
    let mut rows = BTreeMap::new();
    // The first is the line below the header.
    for row in lines.skip(1) {
        if row.len() != header.len() {
            return Err(format!("a row of {} cells, not {}: {row:?}", row.len(), header.len()));
        }
        let parsed = Row {
            layer: match row[layer] {
                "–" => None,
                number => Some(number.parse().map_err(|_| format!("no layer: {number:?}"))?),
            },
            folder: row[folder].to_owned(),
            may_use: MayUse::parse(row[may_use])
                .ok_or_else(|| format!("{}: may use {:?}?", row[name], row[may_use]))?,
        };
        if rows.insert(row[name].to_owned(), parsed).is_some() {
            return Err(format!("{}: two rows", row[name]));
        }
    }
    Ok(rows)
}

/// What is wrong with the arrows of `metadata`, and how many there are.
fn problems(rows: &BTreeMap<String, Row>, metadata: &Value, root: &Path) -> (Vec<String>, usize) {
    let (mut problems, mut arrows) = (Vec::new(), 0);
    let packages = metadata["packages"].as_array().unwrap();
    let members: BTreeSet<&str> =
        packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    for name in rows.keys().filter(|name| !members.contains(name.as_str())) {
        problems.push(format!("{name}: a row, but no such crate"));
    }
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let Some(row) = rows.get(name) else {
            problems.push(format!("{name}: no row"));
            continue;
        };
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        if manifest != root.join(&row.folder).join("Cargo.toml") {
            problems.push(format!("{name}: lies in {}, not {}", manifest.display(), row.folder));
        }
        for dependency in package["dependencies"].as_array().unwrap() {
            let target = dependency["name"].as_str().unwrap();
            // Tests may use what they like: no user builds them.
            if dependency["kind"] == "dev" || !members.contains(target) {
                continue;
            }
            arrows += 1;
            let layer = rows.get(target).and_then(|row| row.layer);
            if !row.may_use.allows(layer) {
                let of = layer.map_or("no layer".to_owned(), |layer| format!("layer {layer}"));
                problems.push(format!("{name} -> {target}: of {of}, which its row does not allow"));
            }
        }
    }
    (problems, arrows)
}

fn metadata(manifest: &Path) -> Value {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline", "--manifest-path"])
        .arg(manifest)
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    serde_json::from_slice(&cargo.stdout).unwrap()
}

#[test]
fn no_arrow_leads_where_its_row_does_not_allow() {
    let root = root();
    let text = std::fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let rows = table(&text).unwrap_or_else(|error| panic!("docs/architecture.md: {error}"));
    let mut all = metadata(&root.join("Cargo.toml"));
    // It has a workspace of its own.
    let mut python = metadata(&root.join("crates/python/Cargo.toml"));
    all["packages"].as_array_mut().unwrap().append(python["packages"].as_array_mut().unwrap());
    let (problems, arrows) = problems(&rows, &all, &root);
    assert!(problems.is_empty(), "docs/architecture.md:\n{}", problems.join("\n"));
    // As many as there are at least, lest none be looked at.
    assert!(arrows >= 10, "{arrows} arrows");
}

#[test]
fn the_last_column_is_read_as_it_is_written() {
    let layers = |layers: &[u32]| Some(MayUse::Layers(layers.iter().copied().collect()));
    assert_eq!(MayUse::parse("all"), Some(MayUse::All));
    assert_eq!(MayUse::parse("–"), layers(&[]));
    assert_eq!(MayUse::parse("0"), layers(&[0]));
    assert_eq!(MayUse::parse("0, 1"), layers(&[0, 1]));
    assert_eq!(MayUse::parse("0–2"), layers(&[0, 1, 2]));
    assert_eq!(MayUse::parse("0–1, 3"), layers(&[0, 1, 3]));
    assert_eq!(MayUse::parse("all but one"), None);
    assert_eq!(MayUse::parse(""), None);
}

#[test]
fn each_kind_of_wrong_arrow_is_found() {
    let text = "Words.\n\n\
        | layer | folder | crate | is | may use |\n|---|---|---|---|---|\n\
        | 0 | `crates/low` | `low` | | – |\n\
        | 1 | `crates/high` | `high` | | 0 |\n\
        | – | `crates/kit` | `kit` | | all |\n\
        | – | `gone` | `gone` | | – |\n\nMore words.\n\n| another | table |\n";
    let rows = table(text).unwrap();
    let package = |name: &str, folder: &str, dependencies: Value| {
        json!({
            "name": name,
            "manifest_path": format!("/root/{folder}/Cargo.toml"),
            "dependencies": dependencies,
        })
    };
    let arrow = |name: &str, kind: Value| json!({ "name": name, "kind": kind });
    let metadata = json!({ "packages": [
        package("low", "crates/low", json!([
            arrow("high", Value::Null), arrow("kit", json!("dev")), arrow("libc", Value::Null),
        ])),
        package("high", "crates/height", json!([
            arrow("low", Value::Null), arrow("high", json!("build")), arrow("kit", Value::Null),
        ])),
        package("kit", "crates/kit", json!([arrow("high", Value::Null)])),
        package("new", "crates/new", json!([])),
    ] });
    let (problems, arrows) = problems(&rows, &metadata, Path::new("/root"));
    assert_eq!(
        problems,
        [
            "gone: a row, but no such crate",
            "low -> high: of layer 1, which its row does not allow",
            "high: lies in /root/crates/height/Cargo.toml, not crates/high",
            "high -> high: of layer 1, which its row does not allow",
            "high -> kit: of no layer, which its row does not allow",
            "new: no row",
        ]
    );
    assert_eq!(arrows, 5);
    assert_eq!(
        table("| layer |\n|---|\n").unwrap_err().split(':').next().unwrap(),
        "the first table has no column \"folder\""
    );
}
