//! `bivouac signals`: what every signal means, and the origin of each row.

use crate::cli::args::verbs::SignalsArgs;
use crate::cli::config::Config;
use crate::cli::settings::signals::{Origin, SignalRow, has_terminal, signal_rows};
use crate::cli::terminal;
use crate::jobs::text::visible;
use bivouac::ending::FINISHED;
use bivouac::policy::{escalates, is_deadly, short_name};
use bivouac::signals::is_ignored;
use bivouac::{Request, Result};
use nix::sys::signal::Signal;

pub(crate) fn run(signals: &SignalsArgs) -> Result<u8> {
    let path = signals.table.config();
    let config = path.as_deref().map(Config::read).transpose()?;
    let rows = signal_rows(&signals.table, config.as_ref(), has_terminal());
    let file = path.map(|path| path.display().to_string()).unwrap_or_default();
    terminal::result(print(&rows, &visible(&file), is_ignored).as_bytes())?;
    Ok(FINISHED)
}

fn print(rows: &[SignalRow], file: &str, is_ignored: impl Fn(Signal) -> bool) -> String {
    let mut text = format!("{:<8}{:<12}{:<18}NOTE\n", "SIGNAL", "REQUEST", "FROM");
    for row in rows {
        let from = match row.origin {
            Origin::Default => "default",
            Origin::Service => "--config, no tty",
            Origin::File => file,
            Origin::Option => "--on",
        };
        let note = if is_ignored(row.signal) { "found ignored, and stays so" } else { note(*row) };
        let line = format!("{:<8}{:<12}{from:<18}{note}", short_name(row.signal), row.request.name());
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str("\nPIPE and XFSZ are ignored: the write that fails is the event, and ends the job.\n");
    text.push_str("CHLD gets its default action. No other signal is changed, or blocked.\n");
    text
}

/// A remark about a row.
fn note(row: SignalRow) -> &'static str {
    match row.request {
        Request::Stop if escalates(row.signal) => "again: abort; a third time: die at once",
        Request::Stop if is_deadly(row.signal) => "a repetition changes nothing",
        Request::Stop => "ends with 75; repeats are ignored",
        Request::Die => "no new checkpoint; the last one stands",
        Request::Checkpoint => "and a line of status",
        Request::Suspend => "as the shell expects of Ctrl-Z",
        Request::Resume => "never cancels a stop",
        Request::Reload => "and the log file is opened again",
        Request::Abort | Request::Pause | Request::Status | Request::Redraw | Request::Ignore => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::common::TableArgs;
    use bivouac::policy::{DEFAULTS, mapping};

    #[test]
    fn the_printed_table_says_where_each_row_comes_from() {
        let rows = {
            let mappings = vec![mapping("USR2=checkpoint").unwrap()];
            signal_rows(&TableArgs { mappings, config: None }, None, true)
        };
        let text = print(&rows, "", |signal| signal == Signal::SIGINT);
        assert!(text.contains("USR2    checkpoint  --on              and a line of status\n"), "{text}");
        assert!(text.contains("INT     stop        default           found ignored"), "{text}");
        assert_eq!(text.lines().count(), 1 + DEFAULTS.len() + 3);
    }
}
