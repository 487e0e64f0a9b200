//! A command for each line of a list, as many at a time as there are cores.
//!
//! ```console
//! $ seq 200 >list && cargo run --example commands -- list
//! ```
//!
//! A pause stops the commands, a stop lets them finish, and after a SIGKILL a second process ends them.

use bivouac::prelude::*;

fn main() -> Exit {
    items(std::env::args().nth(1).unwrap_or_else(|| "-".to_string()))
        .map(|item, cx| {
            cx.output(["sh", "-c", "sleep 0.01; echo \"$1 has ${#1} characters\"", "sh", &item.text()])
        })
        .write_to("commands.txt")
        .watch_commands()
        .main()
}
