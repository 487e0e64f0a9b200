//! Options of GNU parallel and `xargs` that `each` does not have: what to type here, or why there is none.
//!
//! The parser would offer what is spelled alike: `--shuf` for `--ssh`, `--seed` for `--embed`.

/// The names, and the sentence.
pub(super) const OPTIONS: &[(&[&str], &str)] = &[
    (
        &["--sqlmaster", "--sqlworker", "--sqlandworker", "--sql-master", "--sql-worker", "--sql-and-worker"],
        "no database is used; `bivouac log --format json` tells what ran, and --results keeps what it printed",
    ),
    (
        &["--latest-line", "--ll", "--tmux", "--tmuxpane", "--tmux-pane"],
        "--progress full shows what runs in each slot; --results keeps what commands print in files",
    ),
    (&["--parens", "--rpl"], "no Perl is run; --plus has placeholders with patterns, and --shell the rest"),
    (&["-U"], "that is --extensionreplace"),
    (
        &["--max-line-length-allowed", "--show-limits"],
        "`getconf ARG_MAX` tells that; -s SIZE is the limit here",
    ),
    (
        &["--number-of-cpus", "--number-of-cores", "--number-of-threads", "--number-of-sockets"],
        "`nproc` tells that",
    ),
    (
        &[
            "--use-cpus-instead-of-cores",
            "--use-cores-instead-of-threads",
            "--use-sockets-instead-of-threads",
        ],
        "-j counts what nproc counts; -j 50% is the half",
    ),
    (&["--shellquote", "--shell-quote"], "--shell quotes items; for yourself, printf %q of bash"),
    (
        &["--ctag", "--ctagstring", "--color-failed", "--colour-failed"],
        "--tag and --tagstring have no colours",
    ),
    (
        &[
            "-M",
            "--controlmaster",
            "--ssh",
            "--ssh-delay",
            "--filter-hosts",
            "--transferfile",
            "--transfer-file",
            "--transferfiles",
            "--tf",
            "--cleanup",
            "--basefile",
            "--bf",
            "--rsync-opts",
            "--hgrp",
            "--hostgroup",
            "--hostgroups",
        ],
        "this runs on one machine; several are what GNU parallel is for",
    ),
    (&["--template", "--tmpl"], "let the command make its file, with --shell and sed"),
    (
        &["--compress", "--compress-program", "--use-compress-program", "--decompress-program"],
        "what commands print is not compressed; --results DIR keeps it in files",
    ),
    (&["--total-jobs", "--totaljobs", "--total"], "{##} counts the list; leave it away"),
    (
        &["--process-slot-var"],
        "commands have the number of their slot, from 1, as BIVOUAC_SLOT, and {%} is it",
    ),
    (&["-V", "--version"], "that is `bivouac --version`"),
    (
        &[
            "--semaphore",
            "--sem",
            "--semaphore-timeout",
            "--semaphoretimeout",
            "--st",
            "--semaphore-name",
            "--semaphorename",
            "--id",
            "--fg",
            "--bg",
            "--wait",
        ],
        "there is no semaphore; flock(1) is one",
    ),
    (
        &["--shebang", "--hashbang", "--shebang-wrap"],
        "put the line into a script of the shell, and the items into a file for -a",
    ),
    (&["--skip-first-line"], "that is --header :"),
    (
        &[
            "--pipe",
            "--pipepart",
            "--pipe-part",
            "--spreadstdin",
            "--recstart",
            "--recend",
            "--regexp",
            "--regex",
            "--remove-rec-sep",
            "--rrs",
            "--round-robin",
            "--roundrobin",
            "--round",
            "--block",
            "--block-size",
            "--block-timeout",
            "--bt",
        ],
        "that is a verb of its own: `bivouac pipe FILE… -- COMMAND`",
    ),
    (
        &["--fifo", "--cat"],
        "commands of `bivouac pipe FILE… -- COMMAND` read standard input, and /dev/stdin is a name for it",
    ),
    (
        &["--shard", "--bin", "--group-by", "--groupby", "--tee"],
        "`bivouac pipe` cuts its input where it is read, whatever stands in it; sort or split the file before",
    ),
    (&["--filter", "--limit"], "make the list before, as with grep or awk, and give it with -a"),
    (&["--shell-completion"], "that is `bivouac completions SHELL`"),
    (&["--halt-on-error"], "that is --halt WHEN, such as --halt now,fail=1"),
    (&["--tty", "--pty", "--open-tty"], "commands run side by side, and none of them has the terminal"),
    (&["--unsafe"], "items are always quoted; where each is a command line: --shell {}"),
    (&["--no-keep-order", "--nokeeporder"], "leave -k away"),
    (
        &["--parset", "--session", "--embed", "--minversion", "--combineexec", "--tollef", "--bibtex"],
        "it has no meaning here; leave it away",
    ),
];
