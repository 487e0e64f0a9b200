//! The command-line tool.
mod jobs;

fn main() {}
