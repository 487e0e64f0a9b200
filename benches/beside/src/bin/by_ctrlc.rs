//! As the documentation of `ctrlc` has it: a closure that sends.

use std::sync::mpsc::channel;

fn main() {
    let (send, receive) = channel();
    ctrlc::set_handler(move || send.send(()).unwrap_or_default()).expect("a handler");
    beside::start_worker();
    beside::say("ready");
    while receive.try_recv().is_err() {
        beside::wait();
    }
    beside::say("heard a signal");
    beside::say_interrupted();
}
