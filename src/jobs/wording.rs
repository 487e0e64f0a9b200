//! The library's advice, in the options of this tool.
//!
//! The library knows no option, so an error carries what to do as [`Advice`], and its own wording speaks to
//! programmers. Every error that this tool prints, logs or keeps goes through here.

use bivouac::Error;
use bivouac::error::Advice;

/// The whole message of an error, for a user of this tool.
pub(crate) fn worded(error: &Error) -> String {
    error.worded(words)
}

pub(crate) fn words(advice: &Advice) -> &str {
    match advice {
        Advice::Text(text) => text,
        Advice::RunAgain => "run the same command again: it continues",
        Advice::StartAfresh => "start over with --fresh",
        Advice::WaitForHolder => "see how far it is (bivouac status), wait for it, stop it",
        Advice::NameAnotherState => "name another place for the state with --state DIR",
        Advice::RetryFailed => "run what failed once more with --retry-failed",
        Advice::LeaveOut => "leave it out with --keep-going",
        Advice::FewerTasks => "use fewer --jobs",
        Advice::FewerItems => {
            "pass fewer items to each command with -n N, or as many as fit with -X or -m (-s SIZE: less)"
        }
        Advice::LargerSpillLimit => "let more of them wait with a larger --spill-limit",
        Advice::WriteToFile => "use --output OUT, with which the job can be continued",
        Advice::WriteToStandardOutput => "leave --output away to write to standard output",
        Advice::CompareByTimes => "leave --verify-inputs away, so that sizes and times are compared",
        Advice::SameBoundary => {
            "give --format, --csv, --record-lines, --record-end, --record-start, -0 or --fixed as when the job was begun"
        }
        Advice::SameHeader => "give --header, --header-prefix or --format as when the job was begun",
        Advice::SeeDelimiter => "see whether its items are told apart as they should (-0, --delimiter)",
        Advice::CleanByForce => "give it up with `bivouac clean --force`",
    }
}
