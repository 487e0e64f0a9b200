//! The files that a tree lists, and whether it is the same tree again.

use super::*;
use std::fs;

fn all(tree: &mut TreeListing) -> Vec<(Vec<String>, Option<Mark>)> {
    let cx = ListContext::endless();
    let mut tasks = Vec::new();
    while let Some(listed) = tree.next(&cx).unwrap() {
        let names = match listed.task {
            Portion::Files(files) => files
                .iter()
                .map(|entry| match entry {
                    Entry::File(file) => file.path().display().to_string(),
                    Entry::Stream(stream) => stream.path().display().to_string(),
                    Entry::Unreadable { why, .. } => why.to_string(),
                })
                .collect(),
            Portion::Part { file, range } => vec![format!("{} {range:?}", file.path().display())],
        };
        tasks.push((names, listed.mark));
    }
    tasks
}

fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("b")).unwrap();
    for (name, bytes) in [("c", 10), ("a", 5), ("b/y", 3), ("b/x", 100), ("b.txt", 0)] {
        fs::write(dir.path().join(name), vec![b'x'; bytes]).unwrap();
    }
    std::os::unix::fs::symlink("c", dir.path().join("link")).unwrap();
    dir
}

#[test]
fn files_come_by_name_and_large_ones_in_parts() {
    let dir = place();
    let mut tree = Tree::new(vec![dir.path().to_path_buf()], Some(40)).begin().unwrap();
    let names: Vec<String> = all(&mut tree).into_iter().flat_map(|(names, _)| names).collect();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let part = |range: &str| format!("{} {range}", at("b/x"));
    assert_eq!(
        names,
        [at("a"), part("0..40"), part("40..80"), part("80..100"), at("b/y"), at("b.txt"), at("c")]
    );
}

#[test]
fn a_file_is_looked_at_when_its_turn_comes() {
    let dir = place();
    let cx = ListContext::endless();
    let mut tree = Tree::new(vec![dir.path().to_path_buf()], None).together(1).begin().unwrap();
    let mut next = || tree.next(&cx).unwrap().map(|listed| listed.bytes);
    assert_eq!((next(), next()), (Some(5), Some(100)), "`a`, and `x` in `b`");
    fs::write(dir.path().join("b/y"), "longer than it was").unwrap();
    fs::write(dir.path().join("c"), "and this one, too, after a directory").unwrap();
    assert_eq!(
        (next(), next(), next()),
        (Some(18), Some(36), None),
        "`y` with the empty `b.txt` after it, `c`"
    );
}

#[test]
fn a_directory_that_is_removed_meanwhile_is_told_and_the_rest_is_listed() {
    let dir = place();
    let cx = ListContext::endless();
    let mut tree = Tree::new(vec![dir.path().to_path_buf()], None).together(1).begin().unwrap();
    tree.next(&cx).unwrap();
    fs::remove_dir_all(dir.path().join("b")).unwrap();
    let rest: Vec<String> = all(&mut tree).into_iter().flat_map(|(names, _)| names).collect();
    let at = |name: &str| dir.path().join(name).display().to_string();
    assert_eq!(rest, [format!("{}: No such file or directory", at("b")), at("b.txt"), at("c")]);
}

#[test]
fn what_is_done_is_listed_again_and_must_be_the_same() {
    let dir = place();
    let cx = ListContext::endless();
    let tree = || Tree::new(vec![dir.path().to_path_buf()], Some(40));
    let mut first = tree().begin().unwrap();
    let described = first.described().unwrap();
    let tasks = all(&mut first);
    for done in 1..=tasks.len() {
        let mut second = tree().resume(&described, done as u64).unwrap();
        assert_eq!(second.mark_before(&cx).unwrap(), tasks[done - 1].1);
        assert_eq!(all(&mut second), tasks[done..]);
    }
    fs::write(dir.path().join("a"), "other").unwrap();
    let mut changed = tree().resume(&described, 1).unwrap();
    assert_ne!(changed.mark_before(&cx).unwrap(), tasks[0].1);
    assert!(Tree::new(vec!["elsewhere".into()], None).resume(&described, 1).is_err());
}
