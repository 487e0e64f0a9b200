//! What a person sees on the terminal while a job runs, compared as text, in windows of four widths.

use crate::harness::World;
use crate::jobs::{GREP, SLOW};
use crate::tty::{CTRL_C, Terminal};

/// A screen as a terminal would show what was written to it: as much of a terminal as the program uses.
#[derive(Debug)]
struct Screen {
    columns: usize,
    rows: Vec<Vec<char>>,
    at: (usize, usize),
}

impl Screen {
    fn after(written: &str, columns: usize) -> Self {
        let mut screen = Self { columns, rows: vec![Vec::new()], at: (0, 0) };
        let mut rest = written.chars();
        while let Some(character) = rest.next() {
            match character {
                '\r' => screen.at.1 = 0,
                '\n' => screen.down(),
                '\x08' => screen.at.1 = screen.at.1.saturating_sub(1),
                '\x1b' if rest.clone().next() == Some('[') => {
                    rest.next();
                    let sequence: String = rest.by_ref().take_while(|c| !c.is_ascii_alphabetic()).collect();
                    let end = written.len() - rest.as_str().len();
                    screen.obey(written.as_bytes()[end - 1], &sequence);
                }
                _ => screen.put(character),
            }
        }
        screen
    }

    fn down(&mut self) {
        self.at.0 += 1;
        if self.at.0 == self.rows.len() {
            self.rows.push(Vec::new());
        }
    }

    fn put(&mut self, character: char) {
        if self.at.1 == self.columns {
            self.at.1 = 0;
            self.down();
        }
        let row = &mut self.rows[self.at.0];
        row.resize(row.len().max(self.at.1 + 1), ' ');
        row[self.at.1] = character;
        self.at.1 += 1;
    }

    fn obey(&mut self, letter: u8, sequence: &str) {
        match (letter, sequence) {
            (b'm' | b'h' | b'l', _) => {}
            (b'K', "") => self.rows[self.at.0].truncate(self.at.1),
            (b'K', "2") => self.rows[self.at.0].clear(),
            (b'J', "") => {
                self.rows[self.at.0].truncate(self.at.1);
                self.rows.truncate(self.at.0 + 1);
            }
            (b'A', rows) => self.at.0 = self.at.0.saturating_sub(rows.parse().unwrap()),
            _ => panic!("no terminal was asked for `{sequence}{}`", char::from(letter)),
        }
    }

    fn text(&self) -> Vec<String> {
        let rows = self.rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_string());
        rows.filter(|row| !row.is_empty()).collect()
    }
}

/// Digits vary from run to run, and so does how much of the bar is full.
fn shape(row: &str) -> String {
    let mut shape = String::new();
    for character in row.chars() {
        let class = match character {
            '0'..='9' => '9',
            '━' | '╸' | '─' => '─',
            other => other,
        };
        if !(shape.ends_with(class) && (class == '9' || class == '─')) {
            shape.push(class);
        }
    }
    shape.replace("KiB/s", "MiB/s")
}

/// A terminal of so many columns. The shell has bracketed paste switched off, which is no business of these tests.
fn terminal(world: &World, columns: usize) -> Terminal {
    Terminal::open(world)
        .types("bind 'set enable-bracketed-paste off'")
        .until("prompt> ")
        .types(&format!("stty cols {columns} rows 24; export LC_ALL=C.UTF-8 NO_COLOR=1"))
        .until("prompt> ")
}

#[test]
fn the_line_fits_its_window_and_leaves_nothing_behind() {
    for (columns, expected) in [
        (120, "running  9 %  ─  9.9 MiB of 9.9 MiB  9.9 MiB/s  9:9 elapsed  9:9 left  9 in flight"),
        (80, "9 %  ─  9.9 MiB of 9.9 MiB  9.9 MiB/s  9:9 elapsed  9:9 left"),
        (40, "9 %  ─  9:9 left"),
        (20, "9 %  ─"),
    ] {
        let world = GREP.world();
        world.write("go", format!("exec bivouac {} {SLOW} --limit-rate 1500KiB\n", GREP.arguments));
        let terminal = terminal(&world, columns).types("bash go").until("\x1b[K\r").until("\x1b[K\r");
        // A rate takes some work, and the amount a megabyte.
        let terminal = match columns {
            20 => terminal.until("2").until("\x1b[K\r"),
            40 => terminal.until("left").until("\x1b[K\r"),
            _ => terminal.until("1.1 MiB of").until("left").until("\x1b[K\r"),
        };
        let (seen, mark) = (&terminal.seen, terminal.mark());
        let row = Screen::after(&seen[..mark], columns).text().pop().unwrap();
        assert_eq!(shape(&row), expected, "{columns}: {row}");
        assert!(row.chars().count() <= columns - 4, "{columns}: {row}");
        let terminal =
            terminal.presses(CTRL_C).until("stopped by SIGINT").until("prompt> ").until_status(130);
        let after = Screen::after(&terminal.seen, columns).text();
        assert!(!after.iter().any(|row| row.contains('━')), "{columns}: {after:#?}");
        assert!(after.iter().any(|row| row.starts_with("bivouac: stopped by")), "{columns}: {after:#?}");
    }
}

#[test]
fn with_full_progress_each_slot_has_its_row() {
    let world = World::new();
    let line = "bivouac each -j 4 --progress full sh -c 'echo {}; until test -e go; do sleep 0.02; done' ::: a b c d e f";
    let terminal = terminal(&world, 80).types(line).until(" 4  item ").until("\x1b[J");
    let seen = Screen::after(&terminal.seen[..terminal.mark()], 80).text();
    let rows: Vec<_> = seen.iter().rev().take(5).rev().map(|row| shape(row)).collect();
    assert_eq!(rows[0], "running  9 %  ─  9 of 9 items  9:9 elapsed  9 in flight", "{seen:#?}");
    let mut slots = rows[1..].to_vec();
    slots.iter_mut().for_each(|row| *row = row[..row.len() - 1].to_string());
    assert_eq!(slots, [" 9  item 9   9:9  "; 4], "{seen:#?}");
    world.write("go", "");
    let terminal = terminal.until("prompt> ").until_status(0);
    let after = Screen::after(&terminal.seen, 80).text();
    assert!(!after.iter().any(|row| row.contains("idle") || row.contains("  item ")), "{after:#?}");
    for name in ["a", "b", "c", "d", "e", "f"] {
        assert!(after.iter().any(|row| row == name), "{name}: {after:#?}");
    }
}

#[test]
fn a_result_without_a_newline_is_not_erased_with_the_line() {
    let world = World::new();
    let terminal = terminal(&world, 80)
        .types("bivouac each -j 1 sh -c 'sleep 0.3; printf %s+ {}' ::: a b c")
        .until("prompt> ")
        .until_status(0);
    let after = Screen::after(&terminal.seen, 80).text();
    assert!(after.iter().any(|row| row.starts_with("a+b+c+")), "{after:#?}");
}

#[test]
fn colour_is_asked_for_or_of_the_terminal() {
    let world = GREP.world();
    for (settings, options, coloured) in [
        ("NO_COLOR=", "", true),
        ("NO_COLOR=1", "", false),
        ("NO_COLOR=1", "--color always", true),
        ("NO_COLOR=", "--color never", false),
    ] {
        world.write("go", format!("{settings} exec bivouac {} {SLOW} {options}\n", GREP.arguments));
        let terminal = terminal(&world, 80).types("bash go").until("elapsed").until("elapsed");
        assert_eq!(terminal.seen.contains("\x1b[1m"), coloured, "{settings} {options}: {:?}", terminal.seen);
        drop(terminal.presses(CTRL_C).until("prompt> ").until_status(130));
    }
}
