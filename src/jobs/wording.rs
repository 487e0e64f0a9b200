//! The library's advice, in the options of this tool.
//!
//! The library knows no option, so an error carries what to do as [`Advice`], and its own wording speaks to
//! programmers. Every error that this tool prints, logs or keeps goes through here.

use crate::jobs::text::with_short_words;
use bivouac::Error;
use bivouac::error::Advice;

/// The whole message of an error, for a user of this tool.
pub(crate) fn worded(error: &Error) -> String {
    let text = error.worded(words);
    let (sentence, advice) = text.split_at(text.find('\n').unwrap_or(text.len()));
    with_short_words(sentence) + advice
}

pub(crate) fn words(advice: &Advice) -> &str {
    match advice {
        Advice::Text(text) => text,
        Advice::RunAgain => "run the same command again: it continues",
        Advice::StartAfresh => "start over with --fresh",
        Advice::WaitForHolder => "wait for it (see `bivouac status`)",
        Advice::NameAnotherState => "give another --state DIR",
        Advice::RetryFailed => "also what failed: --retry-failed",
        Advice::LeaveOut => "leave it out with --keep-going",
        Advice::FewerTasks => "use fewer --jobs",
        Advice::FewerItems => "pass fewer items to each command: -n N, or -X, -m and -s SIZE",
        Advice::LargerSpillLimit => "give a larger --spill-limit",
        Advice::WriteToFile => "use --output OUT, with which the job can be continued",
        Advice::WriteToStandardOutput => "leave --output away to write to standard output",
        Advice::CompareByTimes => "leave --verify-inputs away",
        Advice::SameBoundary => "give --format, --csv … as before",
        Advice::SameHeader => "give --header or --format as when the job was begun",
        Advice::SeeDelimiter => "see whether -0 or --delimiter tells its items apart",
        Advice::CleanByForce => "give it up: clean --force STATE",
    }
}
