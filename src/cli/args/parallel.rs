//! Options of GNU parallel that have no effect here, so that a line of it need not be edited.

use clap::Args;

/// See the [module](self). None is in `--help`: there is nothing that they do.
#[derive(Args, Clone, Debug, PartialEq)]
pub(crate) struct ParallelArgs {
    /// There is no notice
    #[arg(long, hide = true, aliases = ["no-notice", "nonotice", "nn"])]
    will_cite: bool,

    /// There is one way to be
    #[arg(long, hide = true)]
    gnu: bool,

    /// No configuration is read unless --config names it
    #[arg(long, hide = true)]
    plain: bool,

    /// What a command prints is kept together unless -u or --line-buffer is given
    #[arg(long, hide = true, conflicts_with_all = ["ungroup", "line_buffer"])]
    group: bool,

    /// Nothing is printed of a command unless -t is given
    #[arg(long, hide = true)]
    silent: bool,

    /// Commands have the whole environment
    #[arg(long, hide = true, value_name = "NAME")]
    env: Vec<String>,
}
