//! Lists as they are given, against what they must list.

use super::cut::LONGEST;
use super::listing::ItemListing;
use super::*;
use crate::error::Kind;
use crate::input::testing::{fifo_in, file_with};
use crate::task::stop_fd::StopFd;
use crate::task::{ListContext, Listing, Mark};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;

fn listed(items: &[&str]) -> Column {
    Column { given: Given::Listed(items.iter().map(OsString::from).collect()), linked: false }
}

fn linked(items: &[&str]) -> Column {
    Column { linked: true, ..listed(items) }
}

fn file(path: &Path) -> Column {
    Column { given: Given::File(path.to_path_buf()), linked: false }
}

fn n(number: usize) -> NonZero<usize> {
    NonZero::new(number).unwrap()
}

fn described(items: &Items) -> Value {
    items.begin().unwrap().described().unwrap()
}

/// The tasks that are listed from here on.
fn rest(items: &mut ItemListing, cx: &ListContext<'_>) -> Vec<(Vec<Vec<u8>>, Mark)> {
    let mut tasks = Vec::new();
    while let Some(task) = items.next(cx).unwrap() {
        tasks.push((task.task.words().to_vec(), task.mark.unwrap()));
    }
    assert!(items.next(cx).unwrap().is_none(), "an end is the end");
    tasks
}

fn all(items: Items) -> Vec<(Vec<Vec<u8>>, Mark)> {
    let mut items = items.begin().unwrap();
    let tasks = items.extent().tasks;
    let all = rest(&mut items, &ListContext::endless());
    assert!(tasks.is_none_or(|tasks| tasks == all.len() as u64), "{tasks:?} of {}", all.len());
    all
}

/// The words of each task, for a person.
fn show(items: Items) -> String {
    let show = |words: &Vec<Vec<u8>>| words.join(&b' ').escape_ascii().to_string();
    all(items).iter().map(|(words, _)| show(words)).collect::<Vec<_>>().join(", ")
}

fn marks(items: Items) -> Vec<Mark> {
    all(items).into_iter().map(|(_, mark)| mark).collect()
}

#[test]
fn columns_give_all_combinations_and_the_last_varies_fastest() {
    let table: [(Vec<Column>, &str); 10] = [
        (vec![listed(&["a", "b"])], "a, b"),
        (vec![listed(&["a", "b"]), listed(&["c", "d"])], "a c, a d, b c, b d"),
        (vec![listed(&["a", "b"]), listed(&["c"]), listed(&["d", "e"])], "a c d, a c e, b c d, b c e"),
        (vec![listed(&["a", "b", "c"]), linked(&["x", "y"])], "a x, b y"),
        (vec![listed(&["a", "b"]), linked(&["x", "y", "z"])], "a x, b y"),
        (
            vec![listed(&["a", "b"]), listed(&["x", "y"]), linked(&["1", "2", "3"])],
            "a x 1, a y 2, b x 1, b y 2",
        ),
        (vec![listed(&["a", "b"]), linked(&["x", "y"]), listed(&["1", "2"])], "a x 1, a x 2, b y 1, b y 2"),
        (vec![listed(&["a", "b"]), listed(&[])], ""),
        (vec![listed(&[]), listed(&["a", "b"])], ""),
        (vec![linked(&["a", "", "b"])], "a, , b"),
    ];
    for (columns, expected) in table {
        assert_eq!(show(Items::new(columns.clone())), expected, "{columns:?}");
    }
}

#[test]
fn a_text_has_the_items_that_its_delimiter_says() {
    let (_dir, path) = file_with("");
    let table: [(&[u8], &[u8], &str); 9] = [
        (b"a\nb\n", b"\n", "a, b"),
        (b"a\n\nb", b"\n", "a, , b"),
        (b"\n", b"\n", ""),
        (b"", b"\n", ""),
        (b"a\r\nb", b"\n", "a\\r, b"),
        (b"a\nb\0c\0", b"\0", "a\\nb, c"),
        (b"a--b-c--", b"--", "a, b-c"),
        (b"a--b---", b"--", "a, b, -"),
        (b"\xff\n\xc3\x28", b"\n", "\\xff, \\xc3("),
    ];
    for (text, delimiter, expected) in table {
        fs::write(&path, text).unwrap();
        let items = Items::new(vec![file(&path)]).delimiter(delimiter.to_vec());
        // A single empty item shows as nothing.
        let expected_tasks = if text == b"\n" { 1 } else { expected.split_terminator(", ").count() };
        assert_eq!(show(items), expected, "{text:?}");
        let items = Items::new(vec![file(&path)]).delimiter(delimiter.to_vec());
        assert_eq!(all(items).len(), expected_tasks, "{text:?}");
    }
}

#[test]
fn items_longer_than_a_read_come_whole_and_delimiters_across_reads_are_found() {
    let (_dir, path) = file_with("");
    for delimiter in [&b"\n"[..], b"<=>"] {
        for around in feed::STEP - 4..feed::STEP + 4 {
            let words = [vec![b'x'; around], b"<=".to_vec(), vec![b'y'; 3 * feed::STEP], b">".to_vec()];
            fs::write(&path, words.join(delimiter)).unwrap();
            let items = Items::new(vec![file(&path)]).delimiter(delimiter.to_vec());
            let found: Vec<_> = all(items).into_iter().flat_map(|(words, _)| words).collect();
            assert!(found == words, "{around} bytes");
        }
    }
}

#[test]
fn several_items_go_together_and_the_last_may_be_fewer() {
    let column = || vec![listed(&["a", "b", "c", "d", "e"])];
    assert_eq!(show(Items::new(column()).per_task(n(2))), "a b, c d, e");
    assert_eq!(show(Items::new(column()).per_task(n(5))), "a b c d e");
    assert_eq!(show(Items::new(column()).per_task(n(usize::MAX))), "a b c d e");
    assert_eq!(show(Items::new(vec![listed(&[])]).per_task(n(3))), "");
    let both = Items::new(vec![listed(&["a", "b", "c"]), listed(&["1"])]).per_task(n(2));
    assert_eq!(show(both), "a 1 b 1, c 1");
}

#[test]
fn what_makes_no_list_is_wrong_usage_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let stdin = || Column { given: Given::Stdin, linked: false };
    let path = |path: &Path| path.display().to_string();
    let table = [
        (Items::new(vec![file(&missing)]), path(&missing)),
        (Items::new(vec![listed(&["a"]), file(dir.path())]), path(dir.path())),
        (Items::new(vec![stdin(), file(Path::new("-"))]), "standard input".into()),
        (Items::new(vec![listed(&["a"])]).delimiter(Vec::new()), "the delimiter".into()),
        (Items::new(Vec::new()), "items".into()),
    ];
    for (items, name) in table {
        let error = items.begin().unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().starts_with(&format!("{name}: ")), "{error}");
    }
}

#[test]
fn an_item_without_an_end_is_refused() {
    let (_dir, path) = file_with("");
    let text = fs::File::create(&path).unwrap();
    text.set_len(LONGEST as u64 + 1).unwrap();
    let mut items = Items::new(vec![file(&path)]).begin().unwrap();
    let error = items.next(&ListContext::endless()).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().contains("longer than 134217728 bytes"), "{error}");
}

#[test]
fn marks_tell_of_every_change_up_to_them_and_of_none_behind() {
    let base = marks(Items::new(vec![listed(&["a", "b", "c", "d"])]));
    let common = |items: Items| marks(items).iter().zip(&base).take_while(|(a, b)| a == b).count();
    assert_eq!(common(Items::new(vec![listed(&["a", "b", "c", "d", "e"])])), 4);
    assert_eq!(common(Items::new(vec![listed(&["a", "b", "x", "d"])])), 2);
    assert_eq!(common(Items::new(vec![listed(&["a", "", "b", "c", "d"])])), 1);
    assert_eq!(common(Items::new(vec![listed(&["b", "c", "d"])])), 0);
    assert_eq!(common(Items::new(vec![listed(&["ab", "c", "d"])])), 0);
    // The words of a task cannot wander.
    let pairs = |a, b| marks(Items::new(vec![listed(&[a]), listed(&[b])]));
    assert_ne!(pairs("ab", "c"), pairs("a", "bc"));
    assert_ne!(pairs("a", ""), pairs("", "a"));
    // Where the items come from does not matter to them.
    let (_dir, path) = file_with("a\nb\nc\nd");
    assert_eq!(common(Items::new(vec![file(&path)])), 4);
}

#[test]
fn from_every_frontier_the_same_rest_is_listed() {
    let (_dir, path) = file_with("one\ntwo\n\nfour\nfive");
    let lists: [&dyn Fn() -> Items; 4] = [
        &|| Items::new(vec![file(&path)]),
        &|| Items::new(vec![file(&path)]).per_task(n(2)),
        &|| Items::new(vec![listed(&["a", "b"]), file(&path), linked(&["1", "2", "3"])]),
        &|| Items::new(vec![file(&path), listed(&["x", "y"]), file(&path)]),
    ];
    for new in lists {
        let all = all(new());
        let stop = StopFd::new().unwrap();
        let items = new();
        let described = described(&items);
        for frontier in 0..=all.len() {
            // The same source again and again, and a new one; with the mark asked for, and without.
            for items in [&new(), &items] {
                let mut compared = items.resume(&described, frontier as u64).unwrap();
                let mark = compared.mark_before(&ListContext::rehearsal(&stop)).unwrap();
                assert_eq!(mark, frontier.checked_sub(1).map(|last| all[last].1));
                let mut other = items.resume(&described, frontier as u64).unwrap();
                assert_eq!(rest(&mut other, &ListContext::real(&stop)), all[frontier..]);
                assert_eq!(rest(&mut compared, &ListContext::real(&stop)), all[frontier..]);
                assert_eq!(compared.extent().tasks, Some(all.len() as u64));
            }
        }
        // A list that has become shorter has the mark of its end.
        let mut items = items.resume(&described, all.len() as u64 + 3).unwrap();
        let mark = items.mark_before(&ListContext::rehearsal(&stop)).unwrap();
        assert_eq!(mark, all.last().map(|last| last.1));
        assert!(items.next(&ListContext::real(&stop)).unwrap().is_none());
    }
}

#[test]
fn another_shape_is_refused_and_other_items_are_left_to_the_mark() {
    let dir = tempfile::tempdir().unwrap();
    let (path, odd) = (dir.path().join("list"), dir.path().join(OsString::from_vec(b"\xff".to_vec())));
    fs::write(&path, "a\n").unwrap();
    fs::write(&odd, "a\n").unwrap();
    let new = || Items::new(vec![listed(&["a"]), file(&odd)]);
    let stored = described(&new());
    let text = serde_json::to_string(&stored).unwrap();
    let stored: Value = serde_json::from_str(&text).unwrap();
    new().resume(&stored, 1).unwrap();
    Items::new(vec![listed(&["a", "b"]), file(&odd)]).resume(&stored, 1).unwrap();
    let others = [
        (Items::new(vec![listed(&["a"])]), "1 sources"),
        (Items::new(vec![listed(&["a"]), file(&path)]), "list"),
        (Items::new(vec![listed(&["a"]), listed(&["a"])]), "the command line; "),
        (Items::new(vec![listed(&["a"]), Column { linked: true, ..file(&odd) }]), "linked"),
        (new().delimiter(b"\0".to_vec()), "`\\x00`"),
    ];
    for (items, what) in others {
        let error = items.resume(&stored, 1).unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.to_string().contains(what) && error.to_string().contains("start over"), "{error}");
    }
    let stored = described(&Items::new(vec![listed(&["a"])]).per_task(n(2)));
    let items = Items::new(vec![listed(&["a"])]).delimiter(b"\0".to_vec());
    assert!(items.resume(&stored, 1).unwrap_err().to_string().contains("at a time"));
    items.per_task(n(2)).resume(&stored, 1).unwrap();
    assert_eq!(Items::new(vec![]).resume(&Value::Null, 1).unwrap_err().kind(), Kind::Refused);
}

#[test]
fn a_pipe_that_was_only_compared_is_had_again_from_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = fifo_in(dir.path());
    let text: String = (0..200_000).map(|n| format!("line {n}\n")).collect();
    let lines: Vec<Vec<u8>> = text.lines().map(|line| line.into()).collect();
    let stop = StopFd::new().unwrap();
    for rehearsed in [0, 1, 150_000, 200_000] {
        // In memory too, as a column that is gone through many times.
        for columns in [vec![file(&fifo)], vec![listed(&["a"]), file(&fifo)]] {
            std::thread::scope(|scope| {
                scope
                    .spawn(|| OpenOptions::new().write(true).open(&fifo).unwrap().write_all(text.as_bytes()));
                let is_alone = columns.len() == 1;
                let items = Items::new(columns);
                let begun = items.begin().unwrap();
                assert_eq!(begun.extent().tasks, None);
                let resumed = || items.resume(&begun.described().unwrap(), rehearsed).unwrap();
                let rehearsal = ListContext::rehearsal(&stop);
                let mut compared = resumed();
                let mark = compared.mark_before(&rehearsal).unwrap();
                let next = compared.next(&rehearsal).unwrap();
                assert_eq!(next.is_some(), rehearsed < 200_000);
                assert_eq!(resumed().mark_before(&rehearsal).unwrap(), mark);
                let mut left = resumed();
                let mut begun_again = items.begin().unwrap();
                let again = rest(&mut begun_again, &ListContext::real(&stop));
                assert!(again.iter().map(|(words, _)| words.last().unwrap()).eq(&lines), "{rehearsed}");
                // As a column that is kept in memory it was read to its end the first time.
                if is_alone && rehearsed < 150_000 {
                    // Neither a new listing nor one that was opened before begins in the middle.
                    for refused in [items.begin().map(drop), left.next(&rehearsal).map(drop)] {
                        assert_eq!(refused.unwrap_err().kind(), Kind::Refused);
                    }
                }
            });
        }
    }
}

#[test]
fn a_stop_ends_the_wait_for_a_pipe_and_what_came_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = fifo_in(dir.path());
    let mut writer = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let columns = vec![listed(&["a", "b"]), Column { linked: true, ..file(&fifo) }];
    let mut items = Items::new(columns).begin().unwrap();
    let stop = StopFd::new().unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| items.next(&ListContext::real(&stop)).unwrap());
        stop.set();
        assert!(waiter.join().unwrap().is_none());
    });
    writer.write_all(b"1\n2\n").unwrap();
    assert!(
        items.next(&ListContext::real(&stop)).unwrap().is_none(),
        "a pipe that is ready does not hide it"
    );
    let stop = StopFd::new().unwrap();
    let words: Vec<_> = rest(&mut items, &ListContext::real(&stop)).into_iter().map(|task| task.0).collect();
    assert_eq!(words, [[b"a", b"1"], [b"b", b"2"]], "the first item of the first column is not lost");
}

#[test]
fn a_stop_ends_the_passing_over_of_what_is_done() {
    let columns = || (0..6).map(|_| listed(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"])).collect();
    let items = Items::new(columns());
    let mut items = items.resume(&described(&items), 900_000).unwrap();
    let stop = StopFd::new().unwrap();
    stop.set();
    items.mark_before(&ListContext::rehearsal(&stop)).unwrap();
    assert!(items.again > 890_000);
    assert!(items.next(&ListContext::real(&stop)).unwrap().is_none(), "its number would be wrong");
}

#[test]
fn columns_in_step_go_to_the_end_of_the_longest() {
    let table: [(&[&[&str]], &str); 5] = [
        (&[&["a", "b", "c"], &["1", "2"]], "a 1, b 2, c 1"),
        (&[&["a"], &["1", "2"], &["x", "y", "z", "w"]], "a 1 x, a 2 y, a 1 z, a 2 w"),
        (&[&["a", "b"], &["1", "2"]], "a 1, b 2"),
        (&[&["a", "b"]], "a, b"),
        (&[&["a", "b"], &[]], ""),
    ];
    for (columns, expected) in table {
        let new = || {
            let columns = columns.iter().map(|items| listed(items)).collect();
            Items::new(columns).reading(Reading { in_step: true, ..Reading::default() })
        };
        assert_eq!(show(new()), expected);
        assert_eq!(new().count().unwrap() as usize, expected.split_terminator(", ").count());
    }
}

#[test]
fn what_is_no_item_is_left_out_and_an_item_may_be_continued() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    fs::write(&path, "head\na \n\nb\n \t\nend\nc ").unwrap();
    let odd = listed(&["a", " \x0b\x0c\r", "b"]);
    let odd = Items::new(vec![odd]).reading(Reading { skips_blank: true, ..Reading::default() });
    assert_eq!(show(odd), "a, b");
    let table = [
        (Reading { header: true, ..Reading::default() }, "a , , b,  \\t, end, c "),
        (Reading { until: Some(b"end".to_vec()), ..Reading::default() }, "head, a , , b,  \\t"),
        (Reading { skips_blank: true, ..Reading::default() }, "head, a , b, end, c "),
        (Reading { continued: true, ..Reading::default() }, "head, a , b,  \\tend, c "),
        (Reading { header: true, until: Some(b"b".to_vec()), continued: true, ..Reading::default() }, "a "),
    ];
    for (reading, expected) in table {
        let items = || Items::new(vec![file(&path)]).reading(reading.clone());
        assert_eq!(show(items()), expected, "{reading:?}");
        let stored = serde_json::to_string(&described(&items())).unwrap();
        items().resume(&serde_json::from_str(&stored).unwrap(), 1).unwrap();
        let error = Items::new(vec![file(&path)]).resume(&described(&items()), 1).unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{error}");
    }
}

#[test]
fn a_header_of_a_pipe_is_read_and_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = fifo_in(dir.path());
    std::thread::scope(|scope| {
        scope.spawn(|| OpenOptions::new().write(true).open(&fifo).unwrap().write_all(b"h\n1\n2\n"));
        let columns = vec![listed(&["g", "a"]), file(&fifo)];
        let items = Items::new(columns).reading(Reading { header: true, ..Reading::default() });
        assert_eq!(items.headers().unwrap(), [b"g", b"h"]);
        assert_eq!(items.count().unwrap(), 2);
        assert_eq!(show(items), "a 1, a 2");
    });
}

#[test]
fn a_random_order_is_the_same_again_when_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    fs::write(&path, (0..100).map(|n| format!("{n}\n")).collect::<String>()).unwrap();
    let new = |seed| Items::new(vec![file(&path)]).per_task(n(3)).shuffled(seed);
    assert_eq!(show(new(Some(7))), show(new(Some(7))));
    assert_ne!(show(new(Some(7))), show(new(Some(8))));
    let in_order = |text: String| {
        let mut tasks: Vec<String> = text.split(", ").map(str::to_string).collect();
        tasks.sort_by_key(|task| task.split(' ').next().unwrap().parse::<u32>().unwrap());
        tasks.join(", ")
    };
    let plain = Items::new(vec![file(&path)]).per_task(n(3));
    assert_eq!(in_order(show(new(None))), show(plain.clone()));

    let stop = StopFd::new().unwrap();
    let cx = ListContext::real(&stop);
    let mut begun = new(None).begin().unwrap();
    let stored = begun.described().unwrap();
    let tasks = rest(&mut begun, &cx);
    let mut resumed = new(None).resume(&stored, 12).unwrap();
    assert_eq!(resumed.mark_before(&cx).unwrap(), Some(tasks[11].1));
    assert_eq!(rest(&mut resumed, &cx), tasks[12..]);
    for other in [plain, new(Some(7))] {
        let error = other.resume(&stored, 1).unwrap_err();
        assert!(error.to_string().contains("seed"), "{error}");
    }
}
