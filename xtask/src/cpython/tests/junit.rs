//! The results that `python -m test --junit-xml` writes.

use std::collections::BTreeMap;

use super::module::Status;

/// Each test and what became of it. A file that cannot be read holds none.
pub(super) fn tests(text: &str) -> BTreeMap<String, Status> {
    let mut tests = BTreeMap::new();
    let Ok(document) = roxmltree::Document::parse(text) else { return tests };
    for case in document.descendants().filter(|node| node.has_tag_name("testcase")) {
        let Some(name) = case.attribute("name") else { continue };
        let child = |tag: &str| case.children().any(|node| node.has_tag_name(tag));
        let status = if child("failure") || child("error") {
            Status::Failed
        } else if child("skipped") {
            Status::Skipped
        } else {
            Status::Passed
        };
        // Subtests and repeated tests share a name: the worst of them counts.
        let worst = tests.entry(name.to_owned()).or_insert(status);
        *worst = (*worst).max(status);
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::{Status, tests};

    #[test]
    fn the_worst_of_one_name_counts() {
        let xml = r#"<testsuites><testsuite>
            <testcase name="a"/><testcase name="a"><failure/></testcase>
            <testcase name="b"><skipped/></testcase><testcase name="c"/>
        </testsuite></testsuites>"#;
        let tests = tests(xml);
        assert_eq!(tests["a"], Status::Failed);
        assert_eq!(tests["b"], Status::Skipped);
        assert_eq!(tests["c"], Status::Passed);
    }

    #[test]
    fn a_file_that_was_cut_off_holds_no_tests() {
        assert!(tests("<testsuites><testsuite><testcase name=").is_empty());
    }
}
